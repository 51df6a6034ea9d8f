//! Rust text without its comments and strings, and the strings by themselves.

/// A source split in two.
pub(super) struct Split {
    /// The text with comments, strings and characters blanked; lines stay lines.
    pub(super) code: String,
    /// Content of every string literal, with the line (from 1) where it begins.
    pub(super) strings: Vec<(usize, String)>,
}

/// Splits a source into code and strings.
pub(super) fn split(source: &str) -> Split {
    let chars: Vec<char> = source.chars().collect();
    let mut lexer =
        Lexer { chars: &chars, at: 0, line: 1, code: String::new(), strings: Vec::new() };
    while lexer.at < chars.len() {
        lexer.step();
    }
    Split { code: lexer.code, strings: lexer.strings }
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
    line: usize,
    code: String,
    strings: Vec<(usize, String)>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Takes one character; it stays in the code if it `is_code` or ends a line.
    fn take(&mut self, is_code: bool) -> char {
        let c = self.chars[self.at];
        self.at += 1;
        match c {
            '\n' => {
                self.line += 1;
                self.code.push('\n');
            }
            _ => self.code.push(if is_code { c } else { ' ' }),
        }
        c
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.take(false);
                }
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('r', '"' | '#') if !self.in_word() => self.raw_string(),
            ('\'', _) => self.quote(),
            _ => {
                self.take(true);
            }
        }
    }

    /// Whether the character before is part of a name; the b of b"…" is not one.
    fn in_word(&self) -> bool {
        let before = |n: usize| self.at.checked_sub(n).map(|i| self.chars[i]);
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        word(before(1)) && (before(1) != Some('b') || word(before(2)))
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.take(false);
                    continue;
                }
            }
            self.take(false);
            self.take(false);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let (line, mut text) = (self.line, String::new());
        self.take(true);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                text.push(self.take(false));
            }
            if self.at < self.chars.len() {
                text.push(self.take(false));
            }
        }
        if self.at < self.chars.len() {
            self.take(true);
        }
        self.strings.push((line, text));
    }

    fn raw_string(&mut self) {
        let hashes = self.chars[self.at + 1..].iter().take_while(|c| **c == '#').count();
        if self.peek(1 + hashes) != '"' {
            // A raw identifier.
            self.take(true);
            return;
        }
        let (line, mut text) = (self.line, String::new());
        (0..hashes + 2).for_each(|_| {
            self.take(false);
        });
        while self.at < self.chars.len() {
            let closes = self.peek(0) == '"' && (1..=hashes).all(|i| self.peek(i) == '#');
            if closes {
                (0..=hashes).for_each(|_| {
                    self.take(false);
                });
                break;
            }
            text.push(self.take(false));
        }
        self.strings.push((line, text));
    }

    /// A character literal, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            self.take(false);
            self.take(false);
            self.take(false);
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.take(false);
            }
            if self.at < self.chars.len() {
                self.take(false);
            }
        } else if self.peek(2) == '\'' {
            (0..3).for_each(|_| {
                self.take(false);
            });
        } else {
            self.take(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_strings_and_characters() {
        let source =
            "let a = \"{ \\\" x\"; // }\nlet b = '{'; /* { /* } */ */ let c: &'a u8 = r#\"}\"#;";
        let Split { code, strings } = split(source);
        assert!(!code.contains(['{', '}']), "{code}");
        assert!(code.contains("let b = ") && code.contains("&'a u8"), "{code}");
        assert_eq!(code.lines().count(), 2);
        assert_eq!(strings, [(1, "{ \\\" x".to_owned()), (2, "}".to_owned())]);
    }

    #[test]
    fn knows_escaped_quotes_and_raw_names() {
        let Split { code, .. } = split("match c { '\\'' => r#fn(), '\\u{7b}' => b\"}\", _ => x }");
        assert_eq!(code.matches('{').count(), 1, "{code}");
        assert_eq!(code.matches('}').count(), 1, "{code}");
    }
}
