//! Calls parsers of external data with recorded bytes and with mutations of them. Must not know what the bytes mean. For `cargo test`,
//! where the same seed gives the same bytes; `fuzz/` runs the same targets with libFuzzer.
//!
//! The recorded inputs of a target are the files of `fuzz/corpus/NAME`. An input that fails is saved there too, so that the next run
//! begins with it. An input that ends the process, or never ends, stays in `target/fuzz/running/NAME`, and is run first next time.
//!
//! `FUZZ_SECONDS` sets the time for each target, `FUZZ_SEED` the seed.

mod corpus;
mod memory;
mod mutation;

use std::env;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use corpus::{Corpus, Running};
use mutation::Mutator;

pub use memory::within;
pub use testkit::Random;

/// The default seed.
const SEED_DEFAULT: u64 = 0x2545_f491_4f6c_dd1d;

/// A parser of external data.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Parses the bytes, and asserts what must hold for any bytes. Returns whether they were accepted, as files whose name begins with
    /// `sound` must be.
    pub run: fn(&[u8]) -> bool,
    /// Words of the format, to be inserted into inputs.
    pub words: &'static [&'static str],
    /// The number of mutated inputs in a run of `cargo test`.
    pub tries: u32,
}

impl Target {
    /// Runs the target with the corpus, then with mutated inputs; panics at the first that fails, after saving it.
    pub fn check(&self) {
        let corpus = Corpus::of(self.name);
        let running = Running::of(self.name);
        if let Some(left) = running.left() {
            self.call(&left, false, &corpus, &running);
        }
        for (input, is_sound) in corpus.inputs().iter().zip(corpus.sound()) {
            self.call(input, *is_sound, &corpus, &running);
        }
        let seed = number_from("FUZZ_SEED").unwrap_or(SEED_DEFAULT);
        let mut mutator = Mutator::new(Random::new(seed, self.name), corpus.inputs(), self.words);
        let start = Instant::now();
        let long = number_from("FUZZ_SECONDS").map(Duration::from_secs);
        let mut tries = 0_u64;
        while long.map_or(tries < u64::from(self.tries), |long| start.elapsed() < long) {
            self.call(&mutator.next(), false, &corpus, &running);
            tries += 1;
        }
        running.end();
        // `cargo test` shows it with `--nocapture` only.
        let seconds = start.elapsed().as_secs_f64();
        let name = self.name;
        let _ = writeln!(io::stdout(), "{name}: {tries} inputs in {seconds:.1} s, seed {seed:#x}");
    }

    fn call(&self, input: &[u8], is_sound: bool, corpus: &Corpus, running: &Running) {
        running.begin(input);
        if let Ok(taken) = panic::catch_unwind(AssertUnwindSafe(|| (self.run)(input))) {
            return assert!(taken || !is_sound, "{} refuses {}", self.name, input.escape_ascii());
        }
        running.end();
        let kept = corpus.keep(input);
        assert!(kept.is_empty(), "{} fails, as said above, with {} bytes: {kept}", self.name, input.len());
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    assert!(number.is_ok(), "{variable} is '{text}'; allowed: a whole number");
    number.ok()
}
