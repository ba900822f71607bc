//! Rust source as words and signs, without comments and literals. Enough to follow imports; no parser.

/// A word, or one character that is neither a word nor blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    Sign(char),
}

impl Token {
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Sign(_) => None,
        }
    }

    pub fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }
}

/// The tokens of a file, without items for tests and fuzzing (`#[cfg(test)]`, `#[cfg(feature = "fuzzing")]`).
pub fn of(text: &str) -> Vec<Token> {
    without_tests(&all(text))
}

fn all(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let char = chars[at];
        let next = chars.get(at + 1).copied();
        if char == '/' && next == Some('/') {
            at = find(&chars, at, "\n");
        } else if char == '/' && next == Some('*') {
            at = find(&chars, at + 2, "*/") + 2;
        } else if let Some(end) = raw_string_end(&chars, at) {
            at = end;
        } else if char == '"' {
            at = string_end(&chars, at);
        } else if char == '\'' {
            at = quote_end(&chars, at);
        } else if char.is_alphanumeric() || char == '_' {
            let end = (at..chars.len()).find(|&at| !is_word(chars[at])).unwrap_or(chars.len());
            tokens.push(Token::Word(chars[at..end].iter().collect()));
            at = end;
        } else {
            if !char.is_whitespace() {
                tokens.push(Token::Sign(char));
            }
            at += 1;
        }
    }
    tokens
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The index of `sought` at or after `at`, or the end.
fn find(chars: &[char], at: usize, sought: &str) -> usize {
    let sought: Vec<char> = sought.chars().collect();
    (at..chars.len()).find(|&at| chars[at..].starts_with(&sought)).unwrap_or(chars.len())
}

/// The index after the raw string that begins at `at`; `None` if none does.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    if at > 0 && is_word(chars[at - 1]) {
        return None;
    }
    let mut behind = at + usize::from(chars[at] == 'b');
    if chars.get(behind) != Some(&'r') {
        return None;
    }
    behind += 1;
    let hashes = chars[behind..].iter().take_while(|&&char| char == '#').count();
    behind += hashes;
    if chars.get(behind) != Some(&'"') {
        return None;
    }
    let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    Some(find(chars, behind + 1, &end) + end.len())
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The index after a character literal, or after the quote if it begins a lifetime.
fn quote_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => find(chars, at + 3, "'") + 1,
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = test_attribute_end(tokens, at) {
            at = item_end(tokens, end);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The index after the attribute that begins at `at`, if it is one of an item for tests or fuzzing.
fn test_attribute_end(tokens: &[Token], at: usize) -> Option<usize> {
    let [hash, open, cfg, ..] = tokens.get(at..)? else { return None };
    if !hash.is('#') || !open.is('[') || cfg.word() != Some("cfg") {
        return None;
    }
    let end = at + tokens[at..].iter().position(|token| token.is(']'))?;
    let words: Vec<&str> = tokens[at + 3..end].iter().filter_map(Token::word).collect();
    let is_for_tests = words.iter().any(|word| ["test", "fuzzing"].contains(word)) && !words.contains(&"not");
    is_for_tests.then_some(end + 1)
}

/// The index after the item, statement or field that begins at `at`: after its `;` or `,`, or its braces.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (behind, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        let is_end = depth == 0 && [';', '}', ','].iter().any(|sign| token.is(*sign));
        if is_end {
            return behind + 1;
        }
        if depth < 0 {
            return behind;
        }
    }
    tokens.len()
}

#[test]
fn literals_comments_and_tests_are_left_out() {
    let text = r##"
        // a::b
        /* c::d */ use x::Y; const Z: &str = r#"e::f"#; let c = ':'; let l: &'static str = "g::\"h";
        #[cfg(test)] mod tests { use i::j; } #[cfg(any(test, feature = "fuzzing"))] mod fuzzing; fn k() {}
    "##;
    let words: Vec<String> = of(text).iter().filter_map(|token| token.word().map(str::to_owned)).collect();
    let expected = ["use", "x", "Y", "const", "Z", "str", "let", "c", "let", "l", "static", "str", "fn", "k"];
    assert_eq!(words, expected);
}
