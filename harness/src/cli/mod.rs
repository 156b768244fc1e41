//! The commands of `airbench`.

/// `println!` for which a closed pipe (`| head`) is no failure.
macro_rules! outln {
    ($($arguments:tt)*) => {
        $crate::cli::say(&(format!($($arguments)*) + "\n"))
    };
}

/// `eprintln!`, likewise.
macro_rules! errln {
    ($($arguments:tt)*) => {
        $crate::cli::whisper(&(format!($($arguments)*) + "\n"))
    };
}

mod api;
mod bench;
mod bench_vm;
mod cucumber;
mod field;
mod import;
mod init;
mod ladder;
mod options;
mod pace;
mod pack;
mod replay;
mod run;
mod summary;
mod trace;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use api::table;
pub use cucumber::cucumber;
pub use options::{EMBEDDED, RunOptions, setup};

/// A full-system simulator for LuatOS on Air780E: runs firmware scripts
/// unmodified, in virtual time, against a local airtun server.
#[derive(Parser)]
#[command(
    version,
    after_help = "Without a command, a built-in firmware talks to the echo server for 24 simulated hours.\n\
Examples:\n  airbench run my-project --for 1h\n  airbench run tutorial.md --block 2 --uart1 pty\n  airbench run . --lte cat1-cell-edge --seed 7 --record run.abtrace\n  airbench replay run.abtrace"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a firmware.
    Run(Box<RunOptions>),
    /// Read captures of other tools (server-side packets, UART logs, device logs)
    /// and put them on one clock.
    Import(import::Options),
    /// Run a recording again and report the first difference; or let a firmware live
    /// through what a capture shows, and see whether it fails the same way.
    Replay(Box<replay::Options>),
    /// Look at recordings and captures.
    Trace(trace::Options),
    /// Measure speed, start-up time and memory.
    Bench(Box<bench::Options>),
    /// Write an airbench.toml and a first feature into this folder.
    Init(init::Options),
    /// Write a LuaDB image (script.bin) of a project.
    Pack(pack::Options),
    /// List the image's libraries and what is modelled of each.
    Api(api::ApiOptions),
    /// List the firmware functions a project uses that are not modelled; exit
    /// code 1 if there are any.
    Coverage(api::CoverageOptions),
    /// Print when the device's TCP sends SYNs and data into a black hole, beside
    /// what lwIP's constants say.
    Ladder,
    /// List the LTE profiles that come with airbench.
    Profiles,
}

/// Runs the command line and gives the process's exit code: 0 for success, 1
/// for a failed run, 2 for a wrong command.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        None => run::main_job(),
        Some(Command::Run(options)) => run::run(&options),
        Some(Command::Import(options)) => import::run(&options),
        Some(Command::Replay(options)) => replay::run(&options),
        Some(Command::Trace(options)) => trace::run(&options),
        Some(Command::Bench(options)) => bench::run(&options),
        Some(Command::Init(options)) => init::run(&options),
        Some(Command::Pack(options)) => pack::run(&options),
        Some(Command::Api(options)) => Ok(api::list(&options)),
        Some(Command::Coverage(options)) => api::run(&options),
        Some(Command::Ladder) => ladder::run(),
        Some(Command::Profiles) => profiles(),
    };
    result.unwrap_or_else(|error| {
        errln!("airbench: {error}");
        ExitCode::from(error.exit_code())
    })
}

fn profiles() -> Result<ExitCode, Failure> {
    for name in airbench_lte::builtin_names() {
        let profile = airbench_lte::Profile::load(name)?;
        say(&format!("{name:<16} {}\n", profile.about));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output; a closed pipe (`| head`) is no failure.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints to standard error; nobody need be there to read it.
fn whisper(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The firmware could not be loaded.
    #[error(transparent)]
    Load(#[from] crate::project::LoadError),
    /// The firmware does not compile.
    #[error("syntax error in {path}: {error}")]
    Script {
        /// The firmware.
        path: String,
        /// Lua's message.
        error: airbench_luatos::ScriptError,
    },
    /// The project file is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The capture could not be written.
    #[error(transparent)]
    Capture(#[from] crate::capture::CaptureError),
    /// An output would replace something else.
    #[error(transparent)]
    Foreign(#[from] airbench_trace::output::Foreign),
    /// A waveform failed.
    #[error(transparent)]
    Vcd(#[from] crate::vcd::VcdError),
    /// The LTE profile is wrong.
    #[error(transparent)]
    Profile(#[from] airbench_lte::ProfileError),
    /// The setup is wrong.
    #[error(transparent)]
    Setup(#[from] airbench_world::SetupError),
    /// A UART peer could not be set up.
    #[error(transparent)]
    Peer(#[from] crate::peer::PeerError),
    /// A recording could not be written or read.
    #[error(transparent)]
    Recording(#[from] crate::recording::RecordingError),
    /// The board's flash could not be kept.
    #[error(transparent)]
    Flash(#[from] crate::flash::FlashError),
    /// An option has a wrong value.
    #[error("{0}")]
    Usage(String),
    /// The run cannot go on.
    #[error(transparent)]
    World(#[from] airbench_world::WorldError),
    /// A file could not be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::World(_) => 1,
            _ => 2,
        }
    }
}
