//! The modules of a crate: what each file defines and imports, and which file a path leads to. A name that a `mod.rs` re-exports leads to
//! the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Source;
use super::tokens::{self, Token};

/// A path such as `crate::a::B`.
pub type Path = Vec<String>;

/// More steps than any chain of re-exports has: a bound, for chains that lead back.
const STEPS_MAX: usize = 16;

/// What a file defines and uses.
#[derive(Default)]
struct Module {
    file: String,
    defined: BTreeSet<String>,
    /// By the name that they have here.
    imported: BTreeMap<String, Import>,
    /// `use a::*`
    globs: Vec<Path>,
    tokens: Vec<Token>,
}

struct Import {
    path: Path,
    is_public: bool,
}

/// By the path of the module, without `crate`.
pub struct Crate(BTreeMap<Path, Module>);

impl Crate {
    /// The files below `root`, such as `src`, without tests and fuzzing.
    pub fn read(sources: &[Source], root: &str) -> Self {
        let mut modules = BTreeMap::new();
        for source in sources {
            let Some(inside) = source.path.strip_prefix(&format!("{root}/")) else { continue };
            let Some(path) = module_path(inside) else { continue };
            if !path.iter().any(|name| ["tests", "fuzzing"].contains(&name.as_str())) {
                modules.insert(path, Module::read(&source.path, &tokens::of(&source.text)));
            }
        }
        Self(modules)
    }

    /// Each file, with the other files that it takes a name from, and an example of such a name.
    pub fn imports(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut imports: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, module) in &self.0 {
            let taken = imports.entry(module.file.clone()).or_default();
            for used in module.used() {
                if let Some(file) = self.file_of(path, &used, STEPS_MAX).filter(|file| *file != module.file) {
                    taken.entry(file).or_insert_with(|| used.join("::"));
                }
            }
        }
        imports
    }

    /// The file that defines what `used` names in the module `here`. `None` if it is a module, or of another crate.
    fn file_of(&self, here: &Path, used: &[String], steps: usize) -> Option<String> {
        let steps = steps.checked_sub(1)?;
        let (first, rest) = used.split_first()?;
        match first.as_str() {
            "crate" => self.file_of_inside(&Path::new(), rest, steps),
            "self" => self.file_of_inside(here, rest, steps),
            "super" => self.file_of_inside(&here[..here.len().checked_sub(1)?].to_vec(), rest, steps),
            _ => self.file_of_inside(here, used, steps),
        }
    }

    fn file_of_inside(&self, module: &Path, used: &[String], steps: usize) -> Option<String> {
        let steps = steps.checked_sub(1)?;
        let (name, rest) = used.split_first()?;
        if name == "super" || name == "self" {
            return self.file_of(module, used, steps);
        }
        let child: Path = module.iter().chain([name]).cloned().collect();
        let inside = self.0.get(module)?;
        if inside.defined.contains(name) {
            return Some(inside.file.clone());
        }
        if self.0.contains_key(&child) {
            return self.file_of_inside(&child, rest, steps);
        }
        if let Some(import) = inside.imported.get(name) {
            if import.path.len() == 1 && import.path[0] == *name {
                return None; // a crate
            }
            let path: Path = import.path.iter().chain(rest).cloned().collect();
            return self.file_of(module, &path, steps);
        }
        let through = |glob: &Path| {
            let path: Path = glob.iter().chain(used).cloned().collect();
            self.file_of(module, &path, steps)
        };
        inside.globs.iter().find_map(through)
    }
}

/// `a/mod.rs` and `a.rs` are `a`; `lib.rs` is the root. `None` for `main.rs`, which is another crate.
fn module_path(inside: &str) -> Option<Path> {
    let mut path: Path = inside.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match path.last()?.as_str() {
        "mod" | "lib" => {
            path.pop();
        }
        "main" => return None,
        _ => {}
    }
    Some(path)
}

impl Module {
    fn read(file: &str, tokens: &[Token]) -> Self {
        let mut module = Self { file: file.to_owned(), ..Self::default() };
        let mut at = 0;
        while at < tokens.len() {
            match tokens[at].word() {
                Some("use") => {
                    let end = at + tokens[at..].iter().position(|token| token.is(';')).unwrap_or(0);
                    let is_public = at > 0 && (tokens[at - 1].word() == Some("pub") || tokens[at - 1].is(')'));
                    module.read_use(&tokens[at + 1..end.max(at + 1)], &Path::new(), is_public);
                    at = end.max(at + 1);
                }
                Some("struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "union" | "macro_rules") => {
                    let name = tokens[at + 1..].iter().find_map(Token::word);
                    module.defined.extend(name.map(str::to_owned));
                    module.tokens.push(tokens[at].clone());
                    at += 1;
                }
                _ => {
                    module.tokens.push(tokens[at].clone());
                    at += 1;
                }
            }
        }
        module
    }

    /// A tree after `use`: paths, braces, `as`, `*`.
    fn read_use(&mut self, tokens: &[Token], before: &Path, is_public: bool) {
        let mut path = before.clone();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                Token::Word(word) if word == "as" => {
                    let name = tokens.get(at + 1).and_then(Token::word).unwrap_or("_").to_owned();
                    self.imported.insert(name, Import { path, is_public });
                    return;
                }
                Token::Word(word) => path.push(word.clone()),
                Token::Sign('*') => {
                    self.globs.push(path);
                    return;
                }
                Token::Sign('{') => {
                    let inside = &tokens[at + 1..tokens.len().saturating_sub(1).max(at + 1)];
                    for part in split_at_commas(inside) {
                        self.read_use(part, &path, is_public);
                    }
                    return;
                }
                Token::Sign(_) => {}
            }
            at += 1;
        }
        if path.len() > before.len() {
            if path.last().is_some_and(|name| name == "self") {
                path.pop();
            }
            let name = path.last().cloned().unwrap_or_default();
            self.imported.insert(name, Import { path, is_public });
        }
    }

    /// The paths that the file uses: in its imports, except re-exports, and in its code.
    fn used(&self) -> Vec<Path> {
        let mut used: Vec<Path> =
            self.imported.values().filter(|import| !import.is_public).map(|import| import.path.clone()).collect();
        let mut at = 0;
        while at < self.tokens.len() {
            let path = path_at(&self.tokens, at);
            at += (3 * path.len()).saturating_sub(2).max(1);
            let is_own = path.first().is_some_and(|name| self.defined.contains(name));
            if !path.is_empty() && !is_own {
                used.push(path);
            }
        }
        used
    }
}

/// `a::b::c` at `at`.
fn path_at(tokens: &[Token], at: usize) -> Path {
    let mut path = Path::new();
    let mut at = at;
    // `.name` is a field or a method: only its type says which file defines it.
    if at > 0 && tokens[at - 1].is('.') {
        return path;
    }
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        path.push(word.to_owned());
        let is_continued =
            tokens.get(at + 1).is_some_and(|it| it.is(':')) && tokens.get(at + 2).is_some_and(|it| it.is(':'));
        if !is_continued {
            break;
        }
        at += 3;
    }
    path
}

fn split_at_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth -= 1,
            Token::Sign(',') if depth == 0 => {
                parts.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[begin..]);
    parts
}

#[test]
fn names_are_followed_to_the_files_that_define_them() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        source("src/lib.rs", "mod a; mod b;"),
        source(
            "src/a/mod.rs",
            "mod inner; pub use inner::Inner; use crate::b::{self, Leaf as L}; fn f(_: L) { b::g() }",
        ),
        source("src/a/inner.rs", "use super::*; pub struct Inner; fn h() { f() }"),
        source("src/b.rs", "pub struct Leaf; pub fn g() {} fn i() { crate::a::Inner; }"),
    ];
    let imports = Crate::read(&sources, "src").imports();
    let of = |file: &str| imports[file].keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("src/a/mod.rs"), ["src/b.rs"]);
    assert_eq!(of("src/a/inner.rs"), ["src/a/mod.rs"]);
    assert_eq!(of("src/b.rs"), ["src/a/inner.rs"]);
}
