// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the eBPF programs of `bpf/` with clang, one object for each `*.bpf.c`.
#![allow(clippy::print_stdout, reason = "standard output is how a build script talks to cargo")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const INSTALL: &str = "install what compiles eBPF (Debian: apt-get install clang libbpf-dev linux-libc-dev)";

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    if let Err(error) = compile_all() {
        println!("cargo::error={error}; {INSTALL}");
    }
}

fn compile_all() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    for entry in fs::read_dir("bpf").map_err(|error| format!("cannot read bpf/: {error}"))? {
        let source = entry.map_err(|error| format!("cannot read bpf/: {error}"))?.path();
        let name = source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(name) = name.strip_suffix(".bpf.c") {
            compile(&clang, &source, &out.join(name).with_extension("o"))?;
        }
    }
    Ok(())
}

/// Debian keeps `asm/` in a folder of the machine's name, which clang does not look into for another target.
fn compile(clang: &OsString, source: &Path, object: &Path) -> Result<(), String> {
    let machine = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let output = Command::new(clang)
        .args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf", "-mcpu=v3", "-c"])
        .arg(format!("-I/usr/include/{machine}-linux-gnu"))
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", clang.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("cannot compile {}: {}", source.display(), String::from_utf8_lossy(&output.stderr).replace('\n', "; ")))
}
