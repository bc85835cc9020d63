//! Arithmetic in GF(2^8), the field both kernels and the matrices compute in.
//!
//! Shape   an element is a byte; addition is XOR; the modulus is x^8+x^4+x^3+x^2+1 (0x11D), the generator is 2.
//! Errors  none; zero has no inverse and `inverse` says so.
//! Source  Ozone's `GF256`, equal to ISA-L's field; the tests check it against multiplication bit by bit.

/// The modulus without its top bit: what x^8 is equal to.
const MODULUS_LOW: u8 = 0x1D;

/// `EXP[i]` is 2^i, written out twice so that a sum of two logarithms needs no reduction.
const EXP: [u8; 510] = {
    let mut table = [0; 510];
    let mut power = 1u8;
    let mut i = 0;
    while i < 255 {
        table[i] = power;
        table[i + 255] = power;
        power = times_two(power);
        i += 1;
    }
    table
};

/// `LOG[EXP[i]]` is i; `LOG[0]` is never read.
const LOG: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 255 {
        table[EXP[i] as usize] = i as u8;
        i += 1;
    }
    table
};

const fn times_two(a: u8) -> u8 {
    let carry = if a & 0x80 == 0 { 0 } else { MODULUS_LOW };
    (a << 1) ^ carry
}

/// The product of two elements.
pub(crate) const fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[LOG[a as usize] as usize + LOG[b as usize] as usize]
}

/// The element whose product with `a` is 1; `None` for zero.
pub(crate) const fn inverse(a: u8) -> Option<u8> {
    match a {
        0 => None,
        a => Some(EXP[255 - LOG[a as usize] as usize]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long multiplication of polynomials, reduced bit by bit: slow and plainly the definition.
    fn product_by_definition(a: u8, b: u8) -> u8 {
        let mut wide = 0u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                wide ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if wide >> bit & 1 == 1 {
                wide ^= 0x11D << (bit - 8);
            }
        }
        wide as u8
    }

    #[test]
    fn every_product_is_the_one_by_definition() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(product(a, b), product_by_definition(a, b), "{a} times {b}");
            }
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert_eq!(inverse(0), None);
        for a in 1..=255 {
            assert_eq!(product(a, inverse(a).unwrap()), 1, "inverse of {a}");
        }
    }
}
