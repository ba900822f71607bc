//! Calls what reads the bytes of others: with real bytes, and with those changed as a hostile peer would. Knows nothing of what
//! the bytes mean. For `cargo test`, where the same seed makes the same bytes; `fuzz/` gives the same targets to libFuzzer.
//!
//! The real bytes of a target are the files of `fuzz/corpus/NAME`. An input that fails is kept there too, so that the next run
//! begins with it. One that ends the process, or never ends, stays in `target/fuzz/running/NAME`, and is called first next time.
//!
//! Set `FUZZ_SECONDS` to go on for so long with each target, and `FUZZ_SEED` to change the bytes.

mod corpus;
mod memory;
mod mutation;
mod random;

use std::env;
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use corpus::{Corpus, Running};
pub use memory::within;
use mutation::Mutator;
pub use random::Random;

/// Where the changes begin, if nobody says otherwise.
const SEED_DEFAULT: u64 = 0x2545_f491_4f6c_dd1d;

/// A place where bytes of others are read.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of its corpus.
    pub name: &'static str,
    /// Reads the bytes, and asserts what must hold whatever they are. Says whether they were taken for what they should be,
    /// as those whose file's name begins with `sound` must.
    pub run: fn(&[u8]) -> bool,
    /// What means something there, to be strewn in.
    pub words: &'static [&'static str],
    /// So many changed inputs are tried in a run of `cargo test`.
    pub tries: u32,
}

impl Target {
    /// Calls it with the corpus, then with changed inputs; panics with the first that fails, after it has been kept.
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
        // Shown by `cargo test` only where it is asked for.
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
