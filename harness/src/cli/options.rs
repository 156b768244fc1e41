//! What a run is to be, from command line and project file.

use std::path::PathBuf;

use airbench_lte::Profile;
use airbench_luatos::{Core, Scripts};
use airbench_world::Setup;
use clap::Args;

use super::{Failure, pack, summary};
use crate::config::{FILE, Project, parse_start_time};
use crate::peer::Peer;
use crate::{duration, flash, project};

/// The firmware that runs when none is given.
pub const EMBEDDED: &str = include_str!("../../../fixtures/firmware/ws-echo/main.lua");

/// The profile unless another is asked for.
pub(crate) const DEFAULT_PROFILE: &str = "cat1-good";

/// Options of `airbench run`.
#[derive(Args, Debug, Clone, Default)]
pub struct RunOptions {
    /// Folder with main.lua, a .lua file, or a text document with programs in
    /// ``` fences. Default: the project's airbench.toml, else a built-in one.
    pub path: Option<PathBuf>,
    /// Which program of a document: its N-th fenced block with sys.run().
    #[arg(long, value_name = "N")]
    pub block: Option<usize>,
    /// Device time to run. Default: 1m; for ever with --realtime.
    #[arg(long = "for", value_name = "SPAN", value_parser = duration::parse)]
    pub span: Option<std::time::Duration>,
    /// Keep pace with the wall clock.
    #[arg(long)]
    pub realtime: bool,
    /// Seed of all randomness. Default: 1.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Generation of the firmware: v1112 or new (the 2026 core). Default: v1112.
    #[arg(long, value_name = "NAME")]
    pub firmware_profile: Option<Core>,
    /// LTE profile by name or .toml file (see `airbench profiles`).
    #[arg(long, value_name = "PROFILE")]
    pub lte: Option<String>,
    /// UTC date and time at power-on. Default: 2024-09-03T12:12:00.
    #[arg(long, value_name = "DATE")]
    pub start_time: Option<String>,
    /// What is wired to UART1: stdio, pty, or script:FILE. The first two keep
    /// pace with the wall clock.
    #[arg(long, value_name = "PEER")]
    pub uart1: Option<Peer>,
    /// What is wired to UART2.
    #[arg(long, value_name = "PEER")]
    pub uart2: Option<Peer>,
    /// What is wired to UART0.
    #[arg(long, value_name = "PEER")]
    pub uart0: Option<Peer>,
    /// What is wired to the pins of uart.createSoft (UART4).
    #[arg(long, value_name = "PEER")]
    pub uart4: Option<Peer>,
    /// What is at the other end of uart.VUART_0, the virtual UART over USB.
    #[arg(long, value_name = "PEER")]
    pub vuart: Option<Peer>,
    /// Folder with libraries that Luatools would add (libnet ...); repeatable.
    #[arg(long, value_name = "DIR")]
    pub lib: Vec<PathBuf>,
    /// Lead a host name to a service, as ws.example.com=airtun; repeatable.
    #[arg(long, value_name = "NAME=SERVICE")]
    pub host: Vec<String>,
    /// Write a recording for `airbench replay`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write the packets of the device's radio interface as pcapng, with its TLS
    /// keys, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Where the packets of --pcap are taken: at the radio, or at the servers as a
    /// capture from the field has them.
    #[arg(long, value_name = "PLACE", value_parser = ["radio", "server"], default_value = "radio", requires = "pcap")]
    pub pcap_at: String,
    /// Write the UART lines bit by bit, and what the modem is doing, as a waveform
    /// (VCD) for GTKWave or PulseView.
    #[arg(long, value_name = "FILE")]
    pub vcd: Option<PathBuf>,
    /// File that keeps the board's flash (files, fskv, RTC) from run to run; made
    /// if it is not there.
    #[arg(long, value_name = "FILE")]
    pub flash: Option<PathBuf>,
    /// Fail if the script uses a function that is not modelled.
    #[arg(long)]
    pub strict: bool,
    /// Print all events, not only the console.
    #[arg(long)]
    pub events: bool,
    /// Print no console lines.
    #[arg(long, short, conflicts_with = "events")]
    pub quiet: bool,
    /// Project file. Default: airbench.toml in the firmware's folder, or in
    /// this one if no PATH is given.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl RunOptions {
    /// The project these options speak of: the file that is named, else the one
    /// in the firmware's folder, else (without a PATH) the one in this folder.
    pub fn project(&self) -> Result<Project, Failure> {
        let beside = self
            .path
            .as_ref()
            .map(|path| path.join(FILE))
            .filter(|file| file.exists());
        let asked = self.config.clone().or(beside);
        let project = match (&asked, &self.path) {
            (None, Some(_)) => None,
            (asked, _) => Project::find(asked.as_deref())?,
        };
        Ok(project.unwrap_or_default())
    }

    /// The file that keeps the flash, if any.
    pub(crate) fn flash(&self, project: &Project) -> Option<PathBuf> {
        let configured = project.run.flash.as_ref();
        self.flash
            .clone()
            .or_else(|| configured.map(|path| project.resolve(path)))
    }

    /// The syntax error in the main script, if it has one.
    pub(crate) fn syntax_error(&self, project: &Project, setup: &Setup) -> Option<Failure> {
        let error = airbench_luatos::check(&setup.scripts).err()?;
        let path = self.path.as_ref().or(project.firmware.path.as_ref());
        let path = path.map_or_else(
            || "the script".to_owned(),
            |path| path.display().to_string(),
        );
        Some(Failure::Script { path, error })
    }
}

/// The setup of a run: options first, then the project, then defaults. The
/// scripts are loaded from where those say, unless they are given.
pub fn setup(
    options: &RunOptions,
    project: &Project,
    given: Option<Scripts>,
) -> Result<Setup, Failure> {
    let scripts = match given {
        Some(scripts) => scripts,
        None => scripts(options, project)?,
    };
    let profile = options
        .lte
        .clone()
        .or_else(|| project.network.profile.clone());
    let profile = Profile::load(profile.as_deref().unwrap_or(DEFAULT_PROFILE))?;
    let mut setup = Setup::new(scripts, profile);
    if let Some(core) = options.firmware_profile.or(project.firmware.profile) {
        setup.core = core;
    }
    if let Some(seed) = options.seed.or(project.run.seed) {
        setup.seed = seed;
    }
    if let Some(text) = options
        .start_time
        .as_ref()
        .or(project.run.start_time.as_ref())
    {
        setup.epoch = parse_start_time(text).map_err(Failure::Usage)?;
    }
    setup.routes = project.routes()?;
    setup.devices.clone_from(&project.devices);
    setup.access_points.clone_from(&project.access_points);
    for device in &setup.devices {
        device
            .check()
            .map_err(|error| Failure::Usage(error.to_string()))?;
    }
    if let Some(path) = options.flash(project) {
        setup.flash = flash::read(&path)?.unwrap_or_default();
    }
    for (name, service) in &project.hosts {
        setup.map_name(name, service)?;
    }
    for entry in &options.host {
        let (name, service) = entry.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("--host {entry}: write it as ws.example.com=airtun"))
        })?;
        setup.map_name(name, service)?;
    }
    Ok(setup)
}

fn scripts(options: &RunOptions, project: &Project) -> Result<Scripts, Failure> {
    let mut libs = options.lib.clone();
    libs.extend(project.firmware.libs.iter().map(|lib| project.resolve(lib)));
    let firmware = &project.firmware;
    let path = options
        .path
        .clone()
        .or_else(|| firmware.path.as_ref().map(|p| project.resolve(p)));
    match path {
        Some(path) => {
            let scripts = project::load(&path, options.block.or(firmware.block), &libs)?;
            for folder in project::left_out(&path, &libs) {
                summary::say(&format!(
                    "left out     {folder}: Luatools flashes no sub-folders; \
                     name it with --lib {folder} if its scripts are added",
                    folder = folder.display()
                ));
            }
            if let Some(complaint) = pack::too_large(&scripts) {
                summary::say(&format!("too large    {complaint}"));
            }
            Ok(scripts)
        }
        None => {
            let mut scripts = Scripts::default();
            scripts.add("main.lua", EMBEDDED.as_bytes().to_vec());
            Ok(scripts)
        }
    }
}
