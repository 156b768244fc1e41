//! What a bench may be able to do.

use std::fmt;

/// Something not every bench can do. Scenarios ask for it with a tag such as
/// `@needs.lte.impair`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Time is virtual: a day takes a moment, and runs repeat exactly.
    ClockVirtual,
    /// The radio link can be impaired.
    LteImpair,
    /// The network can drop the data context.
    LteContext,
    /// Power can be cut.
    PowerCut,
    /// The SIM can be put in and taken out.
    SimSlot,
    /// The server can be stopped and started, and tells what it sees.
    Server,
    /// Something can be wired to the UARTs.
    Uart,
    /// Pins can be driven.
    Pins,
}

impl Capability {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::ClockVirtual,
        Self::LteImpair,
        Self::LteContext,
        Self::PowerCut,
        Self::SimSlot,
        Self::Server,
        Self::Uart,
        Self::Pins,
    ];

    /// The name in tags.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClockVirtual => "clock.virtual",
            Self::LteImpair => "lte.impair",
            Self::LteContext => "lte.context",
            Self::PowerCut => "power.cut",
            Self::SimSlot => "sim.slot",
            Self::Server => "server",
            Self::Uart => "uart",
            Self::Pins => "pins",
        }
    }

    /// The capability a tag asks for, if it is such a tag; an unknown name is
    /// an error.
    pub fn from_tag(tag: &str) -> Option<Result<Self, String>> {
        let name = tag
            .strip_prefix('@')
            .unwrap_or(tag)
            .strip_prefix("needs.")?;
        let known = Self::ALL
            .into_iter()
            .find(|capability| capability.name() == name);
        Some(known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!(
                "unknown capability {name:?}; known are {}",
                names.join(", ")
            )
        }))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
