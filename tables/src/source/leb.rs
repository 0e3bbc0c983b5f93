// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of any size in as few bytes as they need (LEB128).

/// Appends a number.
pub(super) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front; none if nothing is left.
pub(super) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            bytes.push(9);
            let mut rest = bytes.as_slice();
            assert_eq!(read(&mut rest), Some(number));
            assert_eq!(rest, [9]);
        }
        assert_eq!(read(&mut [0x80_u8].as_slice()), None);
    }
}
