//! What happens in the modem.

/// What the modem tells the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModemEvent {
    /// The SIM is initialised.
    SimReady,
    /// There is no SIM.
    SimMissing,
    /// The SIM wants its PIN.
    SimLocked,
    /// The modem looks for a SIM again, as `mobile.setAuto` asked.
    SimCheck,
    /// It looks whether there is a network, as `mobile.setAuto` asked; nobody is
    /// told.
    NetCheck,
    /// The network refuses the device, with this cause.
    Rejected(u8),
    /// The context is about to be lost; nobody is told of this.
    Losing,
    /// The subscriber number was read.
    NumberRead,
    /// The data context is active: packets flow from now on.
    PdpActive,
    /// The bearer is up.
    BearerActive,
    /// The network sent its time.
    TimeSync,
    /// The firmware is told of the address.
    LinkUp,
    /// The address is gone.
    LinkDown,
    /// The device has found out that there is no network for it.
    Searching,
    /// The network is there again, and the context was kept.
    Registered,
}

impl ModemEvent {
    /// A word for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimReady => "sim-ready",
            Self::SimMissing => "no-sim",
            Self::SimLocked => "pin-wanted",
            Self::SimCheck => "sim-check",
            Self::NetCheck => "network-check",
            Self::Rejected(_) => "refused",
            Self::Losing => "context-loss",
            Self::NumberRead => "number-read",
            Self::PdpActive => "pdp-active",
            Self::BearerActive => "bearer-active",
            Self::TimeSync => "time-sync",
            Self::LinkUp => "link-up",
            Self::LinkDown => "link-down",
            Self::Searching => "searching",
            Self::Registered => "registered",
        }
    }
}
