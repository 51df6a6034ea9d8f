//! Header cards: 80 characters each, 36 a block, up to END.

use crate::IoError;
use crate::source::Source;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub(super) const BLOCK: usize = 2880;
const CARD: usize = 80;
/// Headers beyond this many blocks (23 MB) are no headers of maps.
const MOST_BLOCKS: usize = 8192;

/// The value of a header card.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum HeaderValue {
    /// T or F.
    Logical(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A string, without trailing blanks.
    Text(String),
}

impl fmt::Display for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logical(v) => f.write_str(if *v { "T" } else { "F" }),
            Self::Integer(v) => v.fmt(f),
            Self::Real(v) => write!(f, "{v:E}"),
            Self::Text(v) => write!(f, "{v:?}"),
        }
    }
}

/// One card: keyword, value and comment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct HeaderCard {
    /// Up to eight of A–Z, 0–9, `-` and `_`.
    pub keyword: String,
    /// The value; `None` for COMMENT, HISTORY and undefined values.
    pub value: Option<HeaderValue>,
    /// The comment, or the text of COMMENT and HISTORY.
    pub comment: String,
}

impl HeaderCard {
    /// A card with a text value.
    pub fn text(keyword: &str, value: impl Into<String>, comment: &str) -> Self {
        Self::of(keyword, HeaderValue::Text(value.into()), comment)
    }

    /// A card with a whole number.
    pub fn integer(keyword: &str, value: i64, comment: &str) -> Self {
        Self::of(keyword, HeaderValue::Integer(value), comment)
    }

    /// A card with a real number.
    pub fn real(keyword: &str, value: f64, comment: &str) -> Self {
        Self::of(keyword, HeaderValue::Real(value), comment)
    }

    fn of(keyword: &str, value: HeaderValue, comment: &str) -> Self {
        Self { keyword: keyword.to_owned(), value: Some(value), comment: comment.to_owned() }
    }

    /// The 80 characters of the card, for a file at `path` (named in errors).
    pub(super) fn encoded(&self, path: &Path) -> Result<[u8; CARD], IoError> {
        let allowed_key =
            |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c);
        let key = &self.keyword;
        if key.is_empty() || key.len() > 8 || !key.chars().all(allowed_key) {
            let allowed = "a keyword of one to eight of A-Z, 0-9, - and _";
            return Err(IoError::header(path, key, "its own name", allowed));
        }
        let value = match &self.value {
            None => {
                let text = format!("{key:<8}  {}", self.comment);
                return fitted(&text, path, key);
            }
            Some(HeaderValue::Text(text)) => {
                format!("{:<20}", format!("'{:<8}'", text.replace('\'', "''")))
            }
            Some(HeaderValue::Logical(v)) => format!("{:>20}", if *v { "T" } else { "F" }),
            Some(HeaderValue::Integer(v)) => format!("{v:>20}"),
            Some(HeaderValue::Real(v)) if v.is_finite() => format!("{:>20}", format!("{v:E}")),
            Some(HeaderValue::Real(v)) => {
                return Err(IoError::header(path, key, v, "a finite number"));
            }
        };
        let bare = format!("{key:<8}= {value}");
        let mut full = bare.clone();
        if !self.comment.is_empty() {
            full += &format!(" / {}", self.comment);
            // A comment may be cut, a value never.
            if full.is_ascii() && bare.len() <= CARD {
                full.truncate(CARD);
            }
        }
        fitted(&full, path, key)
    }
}

fn fitted(text: &str, path: &Path, key: &str) -> Result<[u8; CARD], IoError> {
    let printable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !printable || text.len() > CARD {
        let allowed = "printable ASCII that fits one card of 80 characters";
        return Err(IoError::header(path, key, format!("{text:?}"), allowed));
    }
    let mut card = [b' '; CARD];
    card[..text.len()].copy_from_slice(text.as_bytes());
    Ok(card)
}

/// The cards of one header unit, END excluded.
#[derive(Debug)]
pub(crate) struct Header {
    path: PathBuf,
    pub(crate) cards: Vec<HeaderCard>,
    /// The first card of each keyword: a table asks for seven a column, and a search
    /// through all cards for each would make long headers take minutes.
    first: HashMap<String, usize>,
}

impl Header {
    /// Reads up to END; `None` at the end of the file.
    pub(super) fn read(source: &mut Source) -> Result<Option<Self>, IoError> {
        let path = source.path.clone();
        let mut cards = Vec::new();
        let mut block = Vec::new();
        for count in 0..MOST_BLOCKS {
            source.next(BLOCK as u64, &mut block)?;
            if block.is_empty() && count == 0 {
                return Ok(None);
            }
            for card in block.chunks_exact(CARD) {
                if card.starts_with(b"END     ") {
                    let place = |(at, card): (usize, &HeaderCard)| (card.keyword.clone(), at);
                    // Of equal keywords the last to be collected stays: that of the first.
                    let first = cards.iter().enumerate().rev().map(place).collect();
                    return Ok(Some(Self { path, cards, first }));
                }
                cards.extend(decoded(card, &path)?);
            }
            if block.len() < BLOCK {
                let searched = (count * BLOCK + block.len()) as u64;
                return Err(IoError::MissingEnd { path, searched });
            }
        }
        let searched = (MOST_BLOCKS * BLOCK) as u64;
        Err(IoError::MissingEnd { path, searched })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn value(&self, keyword: &str) -> Option<&HeaderValue> {
        self.cards[*self.first.get(keyword)?].value.as_ref()
    }

    /// The text of a keyword, `None` if absent or blank.
    pub(super) fn text(&self, keyword: &str) -> Result<Option<&str>, IoError> {
        match self.value(keyword) {
            None => Ok(None),
            Some(HeaderValue::Text(text)) => Ok(Some(text.trim()).filter(|t| !t.is_empty())),
            Some(other) => Err(self.refuse(keyword, other, "a quoted text")),
        }
    }

    pub(super) fn integer(&self, keyword: &str) -> Result<Option<i64>, IoError> {
        match self.value(keyword) {
            None => Ok(None),
            Some(HeaderValue::Integer(v)) => Ok(Some(*v)),
            Some(other) => Err(self.refuse(keyword, other, "a whole number")),
        }
    }

    pub(super) fn real(&self, keyword: &str, default: f64) -> Result<f64, IoError> {
        match self.value(keyword) {
            None => Ok(default),
            Some(HeaderValue::Integer(v)) => Ok(*v as f64),
            Some(HeaderValue::Real(v)) => Ok(*v),
            Some(other) => Err(self.refuse(keyword, other, "a number")),
        }
    }

    /// A size: a whole number ≥ 0 that must be there.
    pub(super) fn size(&self, keyword: &str) -> Result<u64, IoError> {
        const ALLOWED: &str = "a whole number from 0 on";
        let value = self.integer(keyword)?;
        let value = value.ok_or_else(|| self.refuse(keyword, "missing", ALLOWED))?;
        u64::try_from(value).map_err(|_| self.refuse(keyword, value, ALLOWED))
    }

    pub(super) fn is_true(&self, keyword: &str) -> bool {
        self.value(keyword) == Some(&HeaderValue::Logical(true))
    }

    pub(super) fn refuse(
        &self,
        keyword: &str,
        given: impl ToString,
        allowed: &'static str,
    ) -> IoError {
        IoError::header(&self.path, keyword, given, allowed)
    }

    /// Bytes of data after this header, without padding.
    pub(super) fn data_bytes(&self) -> Result<u64, IoError> {
        let axes = self.size("NAXIS")?;
        if axes > 999 {
            return Err(self.refuse("NAXIS", axes, "0 to 999"));
        }
        let bitpix = self.integer("BITPIX")?;
        let width = match bitpix {
            Some(8 | 16 | 32 | 64 | -32 | -64) => bitpix.unwrap_or(8).unsigned_abs() / 8,
            Some(other) => return Err(self.refuse("BITPIX", other, "8, 16, 32, 64, -32 or -64")),
            None => return Err(self.refuse("BITPIX", "missing", "8, 16, 32, 64, -32 or -64")),
        };
        let mut elements = u64::from(axes > 0);
        for axis in 1..=axes {
            let keyword = format!("NAXIS{axis}");
            let length = self.size(&keyword)?;
            elements = elements
                .checked_mul(length)
                .ok_or_else(|| self.refuse(&keyword, length, "a size below 2^64 bytes in all"))?;
        }
        let optional = |keyword, default| match self.integer(keyword)? {
            None => Ok(default),
            Some(_) => self.size(keyword),
        };
        let (extra, groups) = (optional("PCOUNT", 0)?, optional("GCOUNT", 1)?);
        (elements.checked_add(extra))
            .and_then(|n| n.checked_mul(groups)?.checked_mul(width))
            .ok_or_else(|| self.refuse("PCOUNT", extra, "a size below 2^64 bytes in all"))
    }
}

/// A card from its 80 bytes; `None` for a blank one.
fn decoded(card: &[u8], path: &Path) -> Result<Option<HeaderCard>, IoError> {
    let text = std::str::from_utf8(card).ok().filter(|t| t.is_ascii());
    let Some(text) = text else {
        let given = String::from_utf8_lossy(card).into_owned();
        return Err(IoError::header(path, "card", format!("{given:?}"), "ASCII text"));
    };
    let keyword = text[..8].trim_end().to_owned();
    if &text[8..10] != "= " {
        let comment = text[8..].trim().to_owned();
        let blank = keyword.is_empty() && comment.is_empty();
        return Ok((!blank).then_some(HeaderCard { keyword, value: None, comment }));
    }
    let field = text[10..].trim_start();
    let refuse = || {
        let allowed = "a quoted text, T, F or a number";
        IoError::header(path, &keyword, format!("{:?}", field.trim_end()), allowed)
    };
    let (value, rest) = if let Some(quoted) = field.strip_prefix('\'') {
        let (value, rest) = unquoted(quoted).ok_or_else(refuse)?;
        (Some(HeaderValue::Text(value)), rest)
    } else {
        let (bare, rest) = field.split_at(field.find('/').unwrap_or(field.len()));
        let bare = bare.trim();
        let value = match bare {
            "" => None,
            "T" => Some(HeaderValue::Logical(true)),
            "F" => Some(HeaderValue::Logical(false)),
            number => Some(number_of(number).ok_or_else(refuse)?),
        };
        (value, rest)
    };
    let comment = rest.trim_start().trim_start_matches('/').trim().to_owned();
    Ok(Some(HeaderCard { keyword, value, comment }))
}

/// The text up to the closing quote, and what follows.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let at = rest.find('\'')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value.trim_end().to_owned(), rest)),
        }
    }
}

fn number_of(text: &str) -> Option<HeaderValue> {
    if let Ok(v) = text.parse::<i64>() {
        return Some(HeaderValue::Integer(v));
    }
    let numeric = |c: char| c.is_ascii_digit() || "+-.EDed".contains(c);
    let real = text.chars().all(numeric).then(|| text.replace(['D', 'd'], "E"))?;
    real.parse().ok().map(HeaderValue::Real)
}
