//! What decides a run.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use airbench_lte::Profile;
use airbench_luatos::{AccessPoint, Core, Device, Flash, Identity, Scripts};
use serde::{Deserialize, Serialize};

use crate::cloud::origin::Route;

/// The world's beginning unless a start time is given: 2024-09-03 12:12:00 UTC,
/// the day the V1112 image was built.
pub const DEFAULT_EPOCH: i64 = 1_725_365_520;

/// Names the simulated internet knows: the services of openLuat's tutorials
/// and demos.
const NAMES: &[(&str, Destination)] = &[
    ("echo.airtun.air32.cn", Destination::Airtun(None)),
    ("wstest.luatos.com", Destination::Airtun(None)),
    ("airtest.openluat.com", Destination::Airtun(Some(2900))),
    ("dev_msg1.openluat.com", Destination::ErrDump),
    ("lbsmqtt.airm2m.com", Destination::Broker(Some(1884))),
    ("mqtt.air32.cn", Destination::Broker(Some(1886))),
    ("broker.emqx.io", Destination::Broker(None)),
    ("test.mosquitto.org", Destination::Broker(None)),
    ("httpbin.air32.cn", Destination::Origin(None)),
    ("httpbin.luatos.com", Destination::Origin(None)),
    ("httpbin.org", Destination::Origin(None)),
    ("www.air32.cn", Destination::Origin(None)),
    ("www.luatos.com", Destination::Origin(None)),
    ("download.openluat.com", Destination::Origin(None)),
    ("iot.openluat.com", Destination::Origin(None)),
    ("bs.openluat.com", Destination::Origin(None)),
    ("gps.openluat.com", Destination::Origin(None)),
    ("free.bs.air32.cn", Destination::Origin(None)),
    ("gps.nutz.cn", Destination::Origin(None)),
    ("airlbs.openluat.com", Destination::Echo),
    ("www.baidu.com", Destination::Origin(None)),
    ("ftp.example.com", Destination::Ftp(None)),
    ("ntp.aliyun.com", Destination::Ntp),
    ("ntp.ntsc.ac.cn", Destination::Ntp),
    ("time1.cloud.tencent.com", Destination::Ntp),
    ("netlab.luatos.com", Destination::Echo),
    ("echo.example.com", Destination::Echo),
];

/// Where a host name leads. A port is one to listen on beyond the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The WebSocket server, on 80 and 443.
    Airtun(Option<u16>),
    /// The errDump sink.
    ErrDump,
    /// The MQTT broker, on 1883 and 8883, and where websockets are looked for: 80,
    /// 443, 8083, 8084.
    Broker(Option<u16>),
    /// The HTTP origin, on 80 and 443.
    Origin(Option<u16>),
    /// The FTP server, on 21 and (with TLS from the first byte) 990.
    Ftp(Option<u16>),
    /// The time server.
    Ntp,
    /// TCP and UDP echo, on any port.
    Echo,
    /// A real TCP server; the run keeps pace with the wall clock.
    Real(SocketAddr),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, port) = match self {
            Self::Airtun(port) => ("airtun", port),
            Self::Broker(port) => ("mqtt", port),
            Self::Origin(port) => ("http", port),
            Self::Ftp(port) => ("ftp", port),
            Self::ErrDump => ("errdump", &None),
            Self::Ntp => ("ntp", &None),
            Self::Echo => ("echo", &None),
            Self::Real(address) => return write!(f, "tcp:{address}"),
        };
        match port {
            Some(port) => write!(f, "{name}:{port}"),
            None => f.write_str(name),
        }
    }
}

impl FromStr for Destination {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(address) = text.strip_prefix("tcp:") {
            return address.parse().map(Self::Real).map_err(drop);
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(drop)?)),
            None => (text, None),
        };
        Ok(match (name, port) {
            ("airtun", port) => Self::Airtun(port),
            ("mqtt", port) => Self::Broker(port),
            ("http", port) => Self::Origin(port),
            ("ftp", port) => Self::Ftp(port),
            ("errdump", None) => Self::ErrDump,
            ("ntp", None) => Self::Ntp,
            ("echo", None) => Self::Echo,
            _ => return Err(()),
        })
    }
}

impl Serialize for Destination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|()| serde::de::Error::custom(format!("no such service: {text}")))
    }
}

/// Everything that decides a run. It is the header of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The firmware's generation.
    #[serde(default)]
    pub core: Core,
    /// Seed of every random stream.
    pub seed: u64,
    /// UTC seconds at the beginning.
    pub epoch: i64,
    /// The flashed scripts.
    pub scripts: Scripts,
    /// Modem and link.
    pub profile: Profile,
    /// Who the device is.
    pub identity: Identity,
    /// Host names and where each leads.
    pub names: Vec<(String, Destination)>,
    /// Pages of the HTTP origin beyond its own.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What is on the I2C and SPI buses.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// WLANs in reach of a scan.
    #[serde(default)]
    pub access_points: Vec<AccessPoint>,
    /// What the board's flash holds at the beginning.
    #[serde(default)]
    pub flash: Flash,
}

/// A setup that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A service without a name.
    #[error("nothing stands before the = of {0:?}; write the host's name there")]
    Name(String),
    /// A name is mapped to an unknown service.
    #[error(
        "host {name:?} is mapped to {service:?}; write airtun, mqtt or http (with a port if need be: mqtt:1884), errdump, ntp, echo, or tcp:127.0.0.1:PORT for a real server"
    )]
    Service {
        /// The host name.
        name: String,
        /// What it was mapped to.
        service: String,
    },
}

impl Setup {
    /// A setup for these scripts with everything else at its default.
    pub fn new(scripts: Scripts, profile: Profile) -> Self {
        Self {
            core: Core::default(),
            seed: 1,
            epoch: DEFAULT_EPOCH,
            scripts,
            profile,
            identity: Identity::default(),
            names: NAMES
                .iter()
                .map(|(name, destination)| ((*name).into(), *destination))
                .collect(),
            routes: Vec::new(),
            devices: Vec::new(),
            access_points: Vec::new(),
            flash: Flash::default(),
        }
    }

    /// Maps a host name to a service.
    pub fn map_name(&mut self, name: &str, service: &str) -> Result<(), SetupError> {
        if name.is_empty() {
            return Err(SetupError::Name(service.to_owned()));
        }
        let destination = service.parse().map_err(|()| SetupError::Service {
            name: name.to_owned(),
            service: service.to_owned(),
        })?;
        self.names.retain(|(known, _)| known != name);
        self.names.push((name.to_owned(), destination));
        Ok(())
    }

    /// A name leads to a real server: the run must keep pace with the wall.
    pub fn is_live(&self) -> bool {
        self.names
            .iter()
            .any(|(_, destination)| matches!(destination, Destination::Real(_)))
    }
}
