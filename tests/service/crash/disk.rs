//! A simulated disk after a power failure: synced data is there, and any part of later writes may be. Built from a trace.
//!
//! Stricter than most file systems: the name of a new file, or that one is gone, is safe only once its directory has been synced; and
//! what was not on the disk when a sync failed is lost, although later syncs succeed
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::Random;

use super::shim::Call;

/// The least that a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// Files by their paths, and directories, which have no bytes.
pub type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The state of a disk, empty at first, after the service's calls.
#[derive(Default)]
pub struct Disk {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, Node>,
    safe_names: BTreeMap<PathBuf, Node>,
    /// In their order.
    unsafe_names: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Clone, Copy)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Default)]
struct Contents {
    safe: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// Which changes survive that were not synced.
pub enum Fate<'a> {
    Nothing,
    Everything,
    /// A prefix of the directory changes; of each file nothing, everything, a prefix that ends within a write, or some of the writes.
    Chance(&'a mut Random),
}

impl Disk {
    pub fn take(&mut self, call: &Call) {
        match call {
            Call::Created(path) => {
                self.files.push(Contents::default());
                self.rename(path, Some(Node::File(self.files.len() - 1)));
            }
            Call::MadeDirectory(path) => self.rename(path, Some(Node::Directory)),
            Call::Unlinked(path) => self.rename(path, None),
            Call::Written { path, offset, bytes } => {
                self.change(path, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Call::Truncated { path, length } => self.change(path, Change::Truncate(*length)),
            Call::Synced(path) => self.sync(path),
            Call::SyncFailed(path) => {
                if let Some(file) = self.file(path) {
                    file.pending.clear();
                }
            }
            Call::Opened | Call::Failed | Call::Sent(_) => {}
        }
    }

    fn rename(&mut self, path: &Path, node: Option<Node>) {
        set(&mut self.names, path, node);
        self.unsafe_names.push((path.to_owned(), node));
    }

    /// Forgets a file without a name.
    fn file(&mut self, path: &Path) -> Option<&mut Contents> {
        match self.names.get(path)? {
            Node::File(number) => self.files.get_mut(*number),
            Node::Directory => None,
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        if let Some(file) = self.file(path) {
            file.pending.push(change);
        }
    }

    fn sync(&mut self, path: &Path) {
        if let Some(file) = self.file(path) {
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.safe);
            }
            return;
        }
        let (here, elsewhere) =
            std::mem::take(&mut self.unsafe_names).into_iter().partition(|(name, _)| name.parent() == Some(path));
        self.unsafe_names = elsewhere;
        let here: Vec<_> = here;
        for (name, node) in here {
            set(&mut self.safe_names, &name, node);
        }
    }

    /// The files after the power failure.
    pub fn image(&self, fate: &mut Fate<'_>) -> Image {
        let mut names = self.safe_names.clone();
        let through = match fate {
            Fate::Nothing => 0,
            Fate::Everything => self.unsafe_names.len(),
            Fate::Chance(random) => below(random, self.unsafe_names.len() + 1),
        };
        for (name, node) in self.unsafe_names.iter().take(through) {
            set(&mut names, name, *node);
        }
        let mut image = Image::new();
        for (path, node) in &names {
            let bytes = match node {
                Node::Directory => None,
                Node::File(number) => Some(self.files[*number].image(path, fate)),
            };
            image.insert(path.clone(), bytes);
        }
        // The files of a lost directory are lost.
        let lost = |path: &PathBuf| {
            path.ancestors().skip(1).any(|above| self.names.contains_key(above) && !names.contains_key(above))
        };
        image.retain(|path, _| !lost(path));
        image
    }
}

fn set(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(path.to_owned(), node),
        None => names.remove(path),
    };
}

fn below(random: &mut Random, end: usize) -> usize {
    random.below(end)
}

impl Contents {
    fn image(&self, path: &Path, fate: &mut Fate<'_>) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        let random = match fate {
            Fate::Nothing => return bytes,
            Fate::Everything => {
                self.pending.iter().for_each(|change| change.apply(&mut bytes));
                return bytes;
            }
            Fate::Chance(random) => random,
        };
        // A file that is only appended to grows in order.
        let ways = if path.extension().is_some_and(|extension| extension == "log") { 3 } else { 4 };
        match random.below(ways) {
            0 => {}
            1 => self.pending.iter().for_each(|change| change.apply(&mut bytes)),
            2 => {
                let whole = below(random, self.pending.len() + 1);
                self.pending.iter().take(whole).for_each(|change| change.apply(&mut bytes));
                if let Some(torn) = self.pending.get(whole) {
                    torn.torn(random).apply(&mut bytes);
                }
            }
            _ => {
                let some: Vec<&Change> = self.pending.iter().filter(|_| random.below(2) == 0).collect();
                for change in some {
                    change.apply(&mut bytes);
                }
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate(length) => file.resize(*length, 0),
        }
    }

    /// A beginning of it, up to the end of a sector.
    fn torn(&self, random: &mut Random) -> Self {
        match self {
            Self::Write { offset, bytes } => {
                let end = (offset + below(random, bytes.len() + 1)) / SECTOR * SECTOR;
                let length = end.saturating_sub(*offset);
                Self::Write { offset: *offset, bytes: bytes[..length].to_vec() }
            }
            Self::Truncate(length) => Self::Truncate(*length),
        }
    }
}

/// Writes an image to `root`, which replaces `from` of the trace.
pub fn lay_out(image: &Image, from: &Path, root: &Path) {
    let _ = fs::remove_dir_all(root); // There may be none.
    fs::create_dir_all(root).unwrap();
    for (path, bytes) in image {
        let path = root.join(path.strip_prefix(from).unwrap());
        match bytes {
            None => fs::create_dir_all(path).unwrap(),
            Some(bytes) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
    }
}
