//! Parses a settings file: one `NAME=value` a line, quoted or not, in the format of `.env` files for
//! [dotenvy](https://docs.rs/dotenvy). A refusal names the line and the problem, and shows no part of a value. Must not know what a
//! variable means.
//!
//! - `#` begins a comment at the beginning of a line and after a blank; `export` before the name is ignored.
//! - `'…'` is literal; `"…"` has the escapes `\n \\ \' \" \$` and backslash with blank. Both may span lines. Unquoted text has the same
//!   escapes and ends at a blank.
//! - `$NAME` and `${NAME}` outside of `'…'` are replaced by a variable of the environment or of an earlier line. A variable that is
//!   not set is refused: more often the `$` was meant literally than the variable was meant to be empty.

use std::collections::HashMap;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// Greatest length of a value after substitution, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// A line that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// From 1.
    pub(super) line: usize,
    /// The name before `=`, if there is one.
    pub(super) name: Option<String>,
    pub(super) problem: Problem,
}

/// Why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not begin with a name.
    NoName,
    /// No `=` follows the name.
    NoEquals,
    /// A quote is not closed.
    OpenQuote(char),
    /// Text follows a blank.
    TextBehind,
    /// A backslash begins no escape.
    Backslash,
    /// No name follows a `$`.
    LoneDollar,
    /// A `${` is not closed.
    OpenBrace,
    /// The variable of a `$NAME` is not set.
    NotSet,
    /// The value is too long after substitution.
    TooLong,
    /// An earlier line sets the variable.
    Repeated {
        /// The earlier line.
        first: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SINGLE_QUOTES: &str = "put the value in single quotes";
        match self {
            Self::NoName => f.write_str("does not begin with a name of letters, digits and '_'; allowed: NAME=value"),
            Self::NoEquals => f.write_str("has no '=' after the name; allowed: NAME=value"),
            Self::OpenQuote(quote) => {
                write!(
                    f,
                    "opens a quote ({quote}) that is not closed; put a value that has this character in other quotes"
                )
            }
            Self::TextBehind => write!(f, "has text after a blank; {SINGLE_QUOTES}"),
            Self::Backslash => {
                write!(f, "has a backslash that is not followed by one of \\ ' \" $ n or a blank; {SINGLE_QUOTES}")
            }
            Self::LoneDollar => write!(f, "has a '$' that no name follows; {SINGLE_QUOTES}"),
            Self::OpenBrace => write!(f, "has a '${{' that is not closed; {SINGLE_QUOTES}"),
            Self::NotSet => write!(f, "has a '$' with the name of a variable that is not set; {SINGLE_QUOTES}"),
            Self::TooLong => write!(f, "has a value of more than {VALUE_BYTES_MAX} bytes"),
            Self::Repeated { first } => write!(f, "sets it more than once, first in line {first}"),
        }
    }
}

/// Parses the text of a file. `$NAME` is looked up in `environment` first, then in the earlier lines.
pub(super) fn parse(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<HashMap<String, String>, BadLine> {
    let mut parser = Parser { rest: text.chars().peekable(), line: 1, environment, values: HashMap::new() };
    while parser.read_line()? {}
    Ok(parser.values.into_iter().map(|(name, (value, _))| (name, value)).collect())
}

struct Parser<'a, E> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    environment: E,
    /// Each with its line.
    values: HashMap<String, (String, usize)>,
}

impl<E: Fn(&str) -> Option<String>> Parser<'_, E> {
    /// Reads one line, or the lines of one value; returns false at the end of the text.
    fn read_line(&mut self) -> Result<bool, BadLine> {
        self.skip_blanks();
        let line = self.line;
        match self.rest.peek() {
            None => return Ok(false),
            Some('#' | '\n') => self.skip_line(),
            Some(_) => {
                let mut name = self.read_name();
                self.skip_blanks();
                if name == "export" && self.rest.peek() != Some(&'=') {
                    name = self.read_name();
                    self.skip_blanks();
                }
                let value = self.read_assignment(&name);
                let first = self.values.get(&name).map(|(_, first)| *first);
                let value = match (value, first) {
                    (Ok(_), Some(first)) => Err(Problem::Repeated { first }),
                    (value, _) => value,
                };
                let named = |problem| BadLine {
                    line,
                    // Without '=' the word may be part of a secret.
                    name: (!matches!(problem, Problem::NoName | Problem::NoEquals)).then(|| name.clone()),
                    problem,
                };
                let value = value.map_err(named)?;
                self.values.insert(name, (value, line));
            }
        }
        Ok(true)
    }

    fn read_assignment(&mut self, name: &str) -> Result<String, Problem> {
        if name.is_empty() || name.starts_with(|first: char| !first.is_ascii_alphabetic() && first != '_') {
            return Err(Problem::NoName);
        }
        if self.rest.next_if_eq(&'=').is_none() {
            return Err(Problem::NoEquals);
        }
        self.skip_blanks();
        if self.rest.peek() == Some(&'#') {
            self.skip_line();
            return Ok(String::new());
        }
        self.read_value()
    }

    fn read_name(&mut self) -> String {
        let mut name = String::new();
        while let Some(char) = self.rest.next_if(|char| is_of_name(*char) || *char == '.') {
            name.push(char);
        }
        name
    }

    fn read_value(&mut self) -> Result<String, Problem> {
        let mut value = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Ok(value),
                Some('\r') if matches!(self.rest.peek(), None | Some('\n')) => {}
                Some('\'') => self.read_single_quoted(&mut value)?,
                Some('"') => self.read_double_quoted(&mut value)?,
                Some('\\') => value.push(self.read_escaped()?),
                Some('$') => self.substitute(&mut value)?,
                Some(' ' | '\t') => {
                    self.skip_blanks();
                    return match self.rest.peek() {
                        None | Some('\n' | '#') => {
                            self.skip_line();
                            Ok(value)
                        }
                        Some(_) => Err(Problem::TextBehind),
                    };
                }
                Some(char) => value.push(char),
            }
        }
    }

    fn read_single_quoted(&mut self, value: &mut String) -> Result<(), Problem> {
        loop {
            match self.next().ok_or(Problem::OpenQuote('\''))? {
                '\'' => return Ok(()),
                char => value.push(char),
            }
        }
    }

    fn read_double_quoted(&mut self, value: &mut String) -> Result<(), Problem> {
        loop {
            match self.next().ok_or(Problem::OpenQuote('"'))? {
                '"' => return Ok(()),
                '\\' => value.push(self.read_escaped()?),
                '$' => self.substitute(value)?,
                char => value.push(char),
            }
        }
    }

    fn read_escaped(&mut self) -> Result<char, Problem> {
        match self.next() {
            Some(char @ ('\\' | '\'' | '"' | '$' | ' ')) => Ok(char),
            Some('n') => Ok('\n'),
            _ => Err(Problem::Backslash),
        }
    }

    /// Replaces a variable, after its `$`.
    fn substitute(&mut self, value: &mut String) -> Result<(), Problem> {
        let is_braced = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(char) = self.rest.next_if(|char| is_of_name(*char)) {
            name.push(char);
        }
        if is_braced && self.rest.next_if_eq(&'}').is_none() {
            return Err(Problem::OpenBrace);
        }
        if name.is_empty() {
            return Err(Problem::LoneDollar);
        }
        let given = (self.environment)(&name).or_else(|| self.values.get(&name).map(|(value, _)| value.clone()));
        value.push_str(&given.ok_or(Problem::NotSet)?);
        // Each line can double the value of an earlier one.
        if value.len() > VALUE_BYTES_MAX { Err(Problem::TooLong) } else { Ok(()) }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|char| is_blank(*char)).is_some() {}
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|char| char != '\n') {}
    }
}

/// White space except line feeds.
fn is_blank(char: char) -> bool {
    char.is_whitespace() && char != '\n'
}

fn is_of_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, name and problem.
    type Refusal = (usize, Option<String>, Problem);

    fn parse_sorted(text: &str) -> Result<Vec<(String, String)>, Refusal> {
        let environment = |name: &str| (name == "SET").then(|| "from outside".to_owned());
        let values = parse(text, environment).map_err(|bad| (bad.line, bad.name, bad.problem))?;
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort();
        Ok(values)
    }

    /// Files without `$` are parsed as dotenvy parses them.
    #[test]
    fn files_without_substitution_are_parsed_as_by_dotenvy() {
        for text in [
            "",
            "\n\n",
            "A=1",
            "A=1\r\nB=2\r\n",
            "  A = 1  # one\n#B=2\n\tC='x # y' \n",
            "export A=1\nexport = 2\nexport   B=3",
            "A=\nB=  \nC= # nothing\nD=#x\n",
            "A=x#y\nB=a\\ b\nC=\"a\\nb\"\nD='a\\nb'\n",
            "A=\"two\nlines\"\nB='three\n\nlines' # end\nC=1",
            "A='it'\\''s'\nB=a'b'\"c\"d\n",
            "A.b_C9=1\n_x=2",
            "A=\\$x\nB=\"\\$x\"\nC='$x'",
            "A==\nB=a=b",
            "A=ü 'c'",
            "A=1 2",
            "1A=2",
            "=x",
            "words",
            "A:1",
            "A='open",
            "A=\"open\nB=1",
            "A=\\x",
            "A B=1",
        ] {
            let theirs: Result<Vec<_>, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
            let theirs = theirs.ok().map(|mut values| {
                values.sort();
                values
            });
            assert_eq!(parse_sorted(text).ok(), theirs, "{text}");
        }
    }

    #[test]
    fn a_dollar_substitutes_a_set_variable_or_is_refused() {
        let check = |text: &str, expected: &str| {
            let values = parse_sorted(&format!("A_1=one\nE=\n{text}")).unwrap();
            assert!(values.contains(&("X".to_owned(), expected.to_owned())), "{text}: {values:?}");
        };
        check("X=$A_1", "one");
        check("X=${A_1}_2", "one_2");
        check("X=\"<$A_1>\"-$SET", "<one>-from outside");
        check("X=$E", "");
        check("X='$A_1 ${' # $", "$A_1 ${");
        check("X=\\$A_1", "$A_1");
        let refused = |text: &str, problem: Problem| {
            assert_eq!(parse_sorted(text), Err((1, Some("X".to_owned()), problem)), "{text}");
        };
        refused("X=team$prod", Problem::NotSet);
        refused("X=${prod}", Problem::NotSet);
        refused("X=\"team$prod\"", Problem::NotSet);
        refused("X=$X", Problem::NotSet);
        for text in ["X=pa$", "X=pa$$word", "X=pa$!", "X=\"$\"", "X=${}", "X=$ä"] {
            refused(text, Problem::LoneDollar);
        }
        for text in ["X=${A", "X=${A:-b}", "X=\"${A\"}"] {
            refused(text, Problem::OpenBrace);
        }
    }

    #[test]
    fn each_refusal_names_the_line_and_the_problem() {
        let refused = |text: &str, line: usize, name: Option<&str>, problem: Problem| {
            assert_eq!(parse_sorted(text), Err((line, name.map(str::to_owned), problem)), "{text}");
        };
        refused("A=1\n\n=x\nB=2\n", 3, None, Problem::NoName);
        refused("A=1\n9B=x", 2, None, Problem::NoName);
        refused("A=1\nKAFKA TOPIC=t", 2, None, Problem::NoEquals);
        refused("hunter2", 1, None, Problem::NoEquals);
        refused("A: 1", 1, None, Problem::NoEquals);
        refused("A=\"two\nlines\"\nB='open\nC=1\n", 3, Some("B"), Problem::OpenQuote('\''));
        refused("# it's\nA=it's", 2, Some("A"), Problem::OpenQuote('\''));
        refused("A=one two", 1, Some("A"), Problem::TextBehind);
        refused("A=C:\\temp", 1, Some("A"), Problem::Backslash);
        refused("A=end\\", 1, Some("A"), Problem::Backslash);
        refused("A=1\nB=2\nA=3", 3, Some("A"), Problem::Repeated { first: 1 });
    }

    #[test]
    fn a_value_cannot_grow_without_bound() {
        let doubling = (1..30).map(|n| format!("A{n}=$A{}$A{}\n", n - 1, n - 1)).collect::<Vec<_>>().concat();
        let bad = parse(&format!("A0=0123456789abcdef\n{doubling}"), |_| None).unwrap_err();
        assert_eq!(bad.problem, Problem::TooLong);
    }
}
