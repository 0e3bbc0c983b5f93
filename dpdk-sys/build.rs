// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds libdpdk by pkg-config, generates the bindings and compiles the shim.
#![allow(clippy::print_stdout, reason = "standard output is how a build script talks to cargo")]

use std::path::PathBuf;
use std::process::Command;
use std::{env, panic};

/// Debian 12's LTS, and the oldest one whose API is used here.
const FLOOR: (u32, u32) = (22, 11);
const INSTALL: &str =
    "install DPDK's development files (Debian: apt-get install libdpdk-dev pkg-config libclang-dev gcc)";

/// Functions that libdpdk exports, and one of C's that its log takes the result of. The static inlines among DPDK's calls are behind `shim_*`.
const FUNCTIONS: &[&str] = &[
    "fdopen",
    "rte_dev_name",
    "rte_eal_cleanup",
    "rte_eal_init",
    "rte_eth_allmulticast_enable",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_fw_version_get",
    "rte_eth_dev_info_get",
    "rte_eth_dev_rss_reta_query",
    "rte_eth_dev_rss_reta_update",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_find_next",
    "rte_eth_macaddr_get",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_log",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_openlog_stream",
    "rte_pktmbuf_copy",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_socket_count",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_version",
    "shim_.*",
];

const CONSTANTS: &[&str] = &["RTE_MAX_ETHPORTS", "RTE_PKTMBUF_HEADROOM", "SHIM_.*"];

/// Types that Rust only points to. `rte_mbuf` is among them because the names bindgen makes up for its anonymous unions
/// change from one LTS to the next: Rust finds its fields by the `SHIM_MBUF_*` offsets.
const OPAQUE: &[&str] = &["_IO_FILE", "rte_device", "rte_mbuf", "rte_mempool"];

fn main() {
    for file in ["build.rs", "shim.c", "shim.h"] {
        println!("cargo::rerun-if-changed={file}");
    }
    if let Err(fault) = build() {
        println!("cargo::error={fault}");
    }
}

fn build() -> Result<(), String> {
    let library = pkg_config::probe_library("libdpdk").map_err(|error| match error {
        pkg_config::Error::Command { cause, .. } => format!("pkg-config does not run ({cause}): {INSTALL}"),
        _ => format!("pkg-config finds no libdpdk: {INSTALL}, or set PKG_CONFIG_PATH to where libdpdk.pc is"),
    })?;
    if release(&library.version) < Some(FLOOR) {
        let (year, month) = FLOOR;
        return Err(format!("libdpdk {} is too old, {year}.{month:02} is the floor: {INSTALL}", library.version));
    }
    let flags = compiler_flags()?;
    compile_shim(&flags)?;
    generate_bindings(&flags)
}

/// The year and month of a version such as `22.11.3` or `25.11.0-rc1`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// libdpdk's own compiler flags, word for word: beside include paths they carry `-include rte_config.h` and the `-march` it
/// was built for, without which its headers don't compile. The pkg-config crate drops both.
fn compiler_flags() -> Result<Vec<String>, String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args(["--cflags", "libdpdk"]).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("pkg-config --cflags libdpdk failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}

fn compile_shim(flags: &[String]) -> Result<(), String> {
    let mut shim = cc::Build::new();
    shim.file("shim.c").flag("-std=gnu11").flag("-Wno-deprecated-declarations").opt_level(3);
    for flag in flags {
        shim.flag(flag);
    }
    shim.try_compile("dpdk_shim").map_err(|error| format!("the C shim does not compile: {error}: {INSTALL}"))
}

fn generate_bindings(flags: &[String]) -> Result<(), String> {
    let mut builder = bindgen::Builder::default()
        .header("shim.h")
        .clang_args(flags)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .use_core()
        .layout_tests(true)
        .derive_default(true)
        .generate_comments(false)
        .formatter(bindgen::Formatter::None);
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    // bindgen panics where it can't load libclang.
    let bindings = panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate()))
        .map_err(|_| format!("libclang can't be loaded: {INSTALL}, or set LIBCLANG_PATH"))?
        .map_err(|error| format!("no bindings for libdpdk: {error}"))?;
    let folder = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo set no OUT_DIR")?;
    bindings.write_to_file(folder.join("bindings.rs")).map_err(|error| format!("bindings.rs: {error}"))
}
