//! What the program is asked to do. `./bench --help` explains the options to people.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::limit::Limit;
use crate::peers::Peer;
use crate::peers::rdkafka::PeerRun;
use crate::{Result, sets};

/// Events of the ordinary data sets.
const EVENTS: u64 = 1_000_000;
const EVENTS_QUICK: u64 = 100_000;
/// Rounds of the data sets that goals are set for; the others get one less.
const ROUNDS: u32 = 3;

/// The parts other than the data sets.
const PARTS: [&str; 5] = ["latency", "start", "idle", "profile", "long"];

/// One call of the program.
pub enum Task {
    /// Measures, and writes the report.
    Run(Options),
    /// Runs one command and notes what it used.
    Measure { usage: PathBuf, command: Vec<OsString> },
    /// Is one of the rdkafka peers.
    Peer(PeerRun),
    /// Is SQLite's limit.
    Limit(Limit),
}

/// What to measure, how much of it, and where everything is.
#[derive(Default)]
pub struct Options {
    pub quick: bool,
    pub events: u64,
    pub rounds: u32,
    pub report_only: bool,
    /// Where the report goes.
    pub docs: PathBuf,
    /// Data, databases and results.
    pub work: PathBuf,
    pub service_static: PathBuf,
    pub service_glibc: PathBuf,
    pub python: PathBuf,
    /// As given by the user, for the report.
    pub command: String,
    only: Vec<String>,
    peers: Vec<Peer>,
    long: bool,
}

impl Options {
    /// Whether a part or a data set shall be measured.
    pub fn wants(&self, name: &str) -> bool {
        match name {
            "long" if self.only.is_empty() => self.long || !self.quick,
            _ => self.only.is_empty() || self.only.iter().any(|wanted| wanted == name),
        }
    }

    /// Whether a peer shall be measured.
    pub fn wants_peer(&self, peer: Peer) -> bool {
        self.peers.is_empty() || self.peers.contains(&peer)
    }

    /// Whether the figures are only for a look: with few events, or of some peers. They do not replace figures that count.
    pub fn is_look(&self) -> bool {
        self.quick || !self.peers.is_empty()
    }

    /// Whether only some parts are measured, so that earlier results of the others are kept.
    pub fn is_partial(&self) -> bool {
        !self.only.is_empty() && self.peers.is_empty()
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => options.quick = true,
                Long("long") => options.long = true,
                Long("report") => options.report_only = true,
                Long("events") => options.events = parser.value()?.parse()?,
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("docs") => options.docs = parser.value()?.into(),
                Long("work") => options.work = parser.value()?.into(),
                Long("service-static") => options.service_static = parser.value()?.into(),
                Long("service-glibc") => options.service_glibc = parser.value()?.into(),
                Long("python") => options.python = parser.value()?.into(),
                Long("command") => options.command = parser.value()?.string()?,
                Long("only") => {
                    let names = parser.values()?.map(ValueExt::string).collect::<std::result::Result<Vec<_>, _>>();
                    options.only.extend(names?);
                }
                Long("peers") => {
                    for name in parser.values()? {
                        options.peers.push(peer(&name.string()?)?);
                    }
                }
                other => return Err(other.unexpected().into()),
            }
        }
        options.fill_in();
        options.check()?;
        Ok(options)
    }

    fn fill_in(&mut self) {
        if self.events == 0 {
            self.events = if self.quick { EVENTS_QUICK } else { EVENTS };
        }
        if self.rounds == 0 {
            self.rounds = if self.quick { 1 } else { ROUNDS };
        }
        if self.docs.as_os_str().is_empty() {
            self.docs = if self.is_look() { self.work.join("docs") } else { "docs".into() };
        }
    }

    fn check(&self) -> Result<()> {
        let known: Vec<&str> = sets::all(self.events).iter().map(|set| set.name).chain(PARTS).collect();
        match self.only.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("--only '{name}': allowed are {}", known.join(", ")).into()),
            None => Ok(()),
        }
    }
}

fn peer(name: &str) -> Result<Peer> {
    let known = || Peer::ALL.map(Peer::name).join(", ");
    Peer::named(name).ok_or_else(|| format!("--peers '{name}': allowed are {}", known()).into())
}

impl Task {
    /// Reads the command line; the first argument is the task's name.
    pub fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let task = parser.value()?.string()?;
        match task.as_str() {
            "run" => Options::parse(parser).map(Self::Run),
            "measure" => {
                let usage = parser.value()?.into();
                Ok(Self::Measure { usage, command: parser.raw_args()?.collect() })
            }
            "peer" => PeerRun::parse(parser).map(Self::Peer),
            "limit" => Limit::parse(parser).map(Self::Limit),
            other => Err(format!("no task is called '{other}'").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Peer};

    fn parse(arguments: &[&str]) -> crate::Result<Options> {
        Options::parse(lexopt::Parser::from_args(arguments))
    }

    #[test]
    fn peers_are_those_that_are_named_or_all() {
        let wanted = |arguments: &[&str]| {
            let options = parse(arguments).unwrap();
            Peer::ALL.into_iter().filter(|&peer| options.wants_peer(peer)).map(Peer::name).collect::<Vec<_>>().join(" ")
        };
        let all = "service glibc tuned plain narrow python limit-5000 limit-20000 limit-50000 limit-single";
        assert_eq!(wanted(&[]), all);
        assert_eq!(wanted(&["--peers", "narrow", "service", "--quick"]), "service narrow");
    }

    #[test]
    fn names_that_nothing_has_are_refused() {
        let error = |arguments: &[&str]| parse(arguments).err().unwrap().to_string();
        assert!(error(&["--peers", "fast"]).starts_with("--peers 'fast': allowed are service, glibc, tuned, "));
        assert!(error(&["--only", "fast"]).starts_with("--only 'fast': allowed are sequential, random, "));
    }

    #[test]
    fn a_look_does_not_replace_figures_that_count() {
        let docs = |arguments: &[&str]| parse(arguments).unwrap().docs;
        assert_eq!(docs(&["--work", "w"]).to_str(), Some("docs"));
        assert_eq!(docs(&["--work", "w", "--quick"]).to_str(), Some("w/docs"));
        assert_eq!(docs(&["--work", "w", "--peers", "service", "tuned"]).to_str(), Some("w/docs"));
        assert!(parse(&["--only", "zstd"]).unwrap().is_partial());
        assert!(!parse(&["--only", "zstd", "--peers", "service"]).unwrap().is_partial());
    }
}
