//! Checksums with the firmware's own ideas of their parameters.

/// Parameters of a 16-bit CRC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc16 {
    pub(crate) polynomial: u16,
    pub(crate) initial: u16,
    pub(crate) final_xor: u16,
    pub(crate) reflect_in: bool,
    pub(crate) reflect_out: bool,
}

/// The named methods: name, polynomial, start, final XOR, both reflections.
const METHODS: &[(&str, u16, u16, u16, bool)] = &[
    ("IBM", 0x8005, 0, 0, true),
    ("MAXIM", 0x8005, 0, 0xFFFF, true),
    ("USB", 0x8005, 0xFFFF, 0xFFFF, true),
    ("MODBUS", 0x8005, 0xFFFF, 0, true),
    ("CCITT", 0x1021, 0, 0, true),
    ("CCITT-FALSE", 0x1021, 0xFFFF, 0, false),
    ("X25", 0x1021, 0xFFFF, 0xFFFF, true),
    ("XMODEM", 0x1021, 0, 0, false),
    ("DNP", 0x3D65, 0, 0xFFFF, true),
];

/// The method of a name; `own` are the parameters of `USER-DEFINED`.
pub(crate) fn crc16_method(name: &str, own: Crc16) -> Option<Crc16> {
    if name == "USER-DEFINED" {
        return Some(own);
    }
    METHODS.iter().find(|(known, ..)| *known == name).map(
        |&(_, polynomial, initial, final_xor, reflect)| Crc16 {
            polynomial,
            initial,
            final_xor,
            reflect_in: reflect,
            reflect_out: reflect,
        },
    )
}

impl Crc16 {
    pub(crate) fn of(self, data: &[u8]) -> u16 {
        let mut crc = self.initial;
        for byte in data {
            let byte = if self.reflect_in {
                byte.reverse_bits()
            } else {
                *byte
            };
            crc ^= u16::from(byte) << 8;
            for _ in 0..8 {
                let carry = crc & 0x8000 != 0;
                crc <<= 1;
                if carry {
                    crc ^= self.polynomial;
                }
            }
        }
        if self.reflect_out {
            crc = crc.reverse_bits();
        }
        crc ^ self.final_xor
    }
}

/// Modbus's CRC from a start of the caller's. The table version of the firmware
/// returns its bytes swapped against its start: chaining does not work.
pub(crate) fn modbus(data: &[u8], start: u16) -> u16 {
    let mut crc = start;
    for byte in data {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1 != 0;
            crc >>= 1;
            if carry {
                crc ^= 0xA001;
            }
        }
    }
    crc
}

/// CRC-32 as zlib computes it.
pub(crate) fn crc32(data: &[u8], start: u32, polynomial: u32) -> u32 {
    let mut crc = start;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = crc & 1 != 0;
            crc >>= 1;
            if carry {
                crc ^= polynomial;
            }
        }
    }
    crc
}

/// An 8-bit CRC, most or least significant bit first.
pub(crate) fn crc8(data: &[u8], polynomial: u8, start: u8, reflected: bool) -> u8 {
    let mut crc = start;
    for byte in data {
        crc ^= byte;
        for _ in 0..8 {
            let carry = crc & if reflected { 1 } else { 0x80 } != 0;
            crc = if reflected { crc >> 1 } else { crc << 1 };
            if carry {
                crc ^= polynomial;
            }
        }
    }
    crc
}

/// The firmware's table-driven 7-bit CRC, shifted left by one.
pub(crate) fn crc7(data: &[u8], polynomial: u8, start: u8) -> u8 {
    let step = |value: u8| {
        let mut value = if value & 0x80 != 0 {
            value ^ polynomial
        } else {
            value
        };
        for _ in 1..8 {
            value <<= 1;
            if value & 0x80 != 0 {
                value ^= polynomial;
            }
        }
        value
    };
    data.iter().fold(start, |crc, byte| step((crc << 1) ^ byte)) << 1
}

/// The new core's: seven bits, not shifted; a polynomial of 0 means 0x09.
pub(crate) fn crc7_new(data: &[u8], polynomial: u8, start: u8) -> u8 {
    let polynomial = match polynomial & 0x7F {
        0 => 0x09,
        given => given,
    };
    data.iter().fold(start & 0x7F, |mut crc, byte| {
        for bit in (0..8).rev() {
            let feedback = (crc >> 6) ^ (byte >> bit) & 1;
            crc = (crc << 1) & 0x7F;
            if feedback & 1 != 0 {
                crc ^= polynomial;
            }
        }
        crc
    })
}
