//! A stroke font: every letter a few lines and arcs on a grid.
//!
//! Baseline 0, capitals 6 high, small letters 4.1, descenders to −1.8. A glyph is
//! a width and commands: `M x y` moves, `L x y` draws a line, `A cx cy rx ry a b`
//! an arc from angle a to b (degrees, upwards is 90), joined to what was before;
//! `a …` the same, begun anew; `O cx cy rx ry` a whole ellipse.

/// Space between letters.
const GAP: f64 = 1.35;
/// Width of a space.
const SPACE: f64 = 1.6;
/// Height of capitals, on which sizes are based.
const CAPITAL: f64 = 6.0;

/// Size of raised and lowered text.
const SMALL: f64 = 0.68;

/// A piece of text at one height.
struct Piece<'a> {
    text: &'a str,
    /// Size relative to the text's.
    size: f64,
    /// Baseline above the text's, in units of the text's size.
    lift: f64,
}

/// Splits at `^{…}` and `_{…}`.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut list = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mark = rest.find("^{").into_iter().chain(rest.find("_{")).min();
        let plain = mark.unwrap_or(rest.len());
        if plain > 0 {
            list.push(Piece { text: &rest[..plain], size: 1.0, lift: 0.0 });
        }
        let Some(at) = mark else { break };
        let inside = &rest[at + 2..];
        let end = inside.find('}').unwrap_or(inside.len());
        let lift = if rest[at..].starts_with('^') { 0.55 } else { -0.28 };
        list.push(Piece { text: &inside[..end], size: SMALL, lift });
        rest = inside.get(end + 1..).unwrap_or("");
    }
    list
}

/// Width of a text whose capitals are `size` high.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let of = |piece: &Piece<'_>| -> f64 {
        piece.text.chars().map(|c| (glyph(c).0 + GAP) * piece.size).sum()
    };
    (pieces(text).iter().map(of).sum::<f64>() - GAP).max(0.0) * size / CAPITAL
}

/// The lines of a text whose capitals are `size` high, from its beginning, y
/// downwards from the baseline.
pub(crate) fn strokes(text: &str, size: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pen = 0.0;
    let mut lines = Vec::new();
    for piece in pieces(text) {
        let scale = piece.size * size / CAPITAL;
        for letter in piece.text.chars() {
            let (advance, commands) = glyph(letter);
            for stroke in glyph_strokes(commands) {
                let place = |p: &(f64, f64)| (pen + p.0 * scale, -p.1 * scale - piece.lift * size);
                lines.push(stroke.iter().map(place).collect());
            }
            pen += (advance + GAP) * scale;
        }
    }
    lines
}

/// The lines of a glyph, arcs as short pieces.
fn glyph_strokes(commands: &str) -> Vec<Vec<(f64, f64)>> {
    let mut list: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut rest = commands;
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |i| i + 1);
        let n: Vec<f64> =
            rest[1..end].split_whitespace().map(|v| v.parse().unwrap_or(0.0)).collect();
        rest = &rest[end..];
        match (command, n.as_slice()) {
            ('M', &[x, y]) => list.push(vec![(x, y)]),
            ('L', &[x, y]) => list.last_mut().expect("begun by M").push((x, y)),
            ('A', &[cx, cy, rx, ry, a, b]) => {
                let points = arc((cx, cy), (rx, ry), (a, b));
                list.last_mut().expect("begun by M").extend(points);
            }
            ('a', &[cx, cy, rx, ry, a, b]) => list.push(arc((cx, cy), (rx, ry), (a, b))),
            ('O', &[cx, cy, rx, ry]) => list.push(arc((cx, cy), (rx, ry), (0.0, 360.0))),
            _ => {}
        }
    }
    list
}

fn arc(c: (f64, f64), r: (f64, f64), (a, b): (f64, f64)) -> Vec<(f64, f64)> {
    let pieces = ((b - a).abs() / 12.0).ceil().max(1.0) as usize;
    (0..=pieces)
        .map(|i| {
            let angle = (a + (b - a) * i as f64 / pieces as f64).to_radians();
            (c.0 + r.0 * angle.cos(), c.1 + r.1 * angle.sin())
        })
        .collect()
}

/// Width and commands of a letter; a box for one that is not there.
fn glyph(letter: char) -> (f64, &'static str) {
    match letter {
        '0' => (3.6, "O1.8 3 1.8 3"),
        '1' => (3.6, "M.6 4.7L2 6L2 0"),
        '2' => (3.6, "a1.8 4.3 1.7 1.7 170 -30L.1 0L3.6 0"),
        '3' => (3.6, "a1.7 4.5 1.6 1.5 150 -90L1.2 3M1.7 3A1.7 1.5 1.85 1.5 90 -150"),
        '4' => (3.6, "M2.7 0L2.7 6L0 1.7L3.7 1.7"),
        '5' => (3.6, "M3.2 6L.6 6L.4 3.1A1.7 1.95 1.85 1.95 125 -145"),
        '6' => (3.6, "O1.8 1.9 1.75 1.9M.05 1.9A3.3 1.9 3.25 4.1 180 97"),
        '7' => (3.6, "M.1 6L3.6 6L1.3 0"),
        '8' => (3.6, "O1.8 4.55 1.5 1.45O1.8 1.55 1.8 1.55"),
        '9' => (3.6, "O1.8 4.1 1.75 1.9M3.55 4.1A.3 4.1 3.25 4.1 0 -83"),
        'A' => (4.4, "M0 0L2.2 6L4.4 0M.75 2L3.65 2"),
        'B' => (3.9, "M0 3.1L2 3.1A2 1.55 1.9 1.55 90 -90L0 0L0 6L1.9 6A1.9 4.55 1.6 1.45 90 -90"),
        'C' => (4.3, "a2.6 3 2.6 3 48 312"),
        'D' => (4.2, "M0 0L0 6L1.6 6A1.6 3 2.6 3 90 -90L0 0"),
        'E' => (3.4, "M3.4 6L0 6L0 0L3.4 0M0 3.1L2.8 3.1"),
        'F' => (3.3, "M3.3 6L0 6L0 0M0 3.1L2.7 3.1"),
        'G' => (5.0, "a2.6 3 2.6 3 48 360L3 3"),
        'H' => (4.0, "M0 0L0 6M4 0L4 6M0 3.1L4 3.1"),
        'I' => (0.0, "M0 0L0 6"),
        'J' => (2.3, "M2.3 6L2.3 1.6A1.2 1.6 1.1 1.6 0 -150"),
        'K' => (3.9, "M0 0L0 6M3.8 6L0 2.4M1.3 3.6L3.9 0"),
        'L' => (3.2, "M0 6L0 0L3.2 0"),
        'M' => (5.0, "M0 0L0 6L2.5 1.5L5 6L5 0"),
        'N' => (4.1, "M0 0L0 6L4.1 0L4.1 6"),
        'O' => (5.4, "O2.7 3 2.7 3"),
        'P' => (3.7, "M0 0L0 6L2.1 6A2.1 4.4 1.6 1.6 90 -90L0 2.8"),
        'Q' => (5.4, "O2.7 3 2.7 3M3.3 1.5L5.2 -.5"),
        'R' => (3.9, "M0 0L0 6L2.1 6A2.1 4.4 1.6 1.6 90 -90L0 2.8M1.8 2.8L3.9 0"),
        'S' => (3.7, "a1.9 4.5 1.7 1.5 38 270A1.9 1.5 1.9 1.5 90 -145"),
        'T' => (4.2, "M0 6L4.2 6M2.1 6L2.1 0"),
        'U' => (4.0, "M0 6L0 2A2 2 2 2 180 360L4 6"),
        'V' => (4.4, "M0 6L2.2 0L4.4 6"),
        'W' => (6.4, "M0 6L1.6 0L3.2 5.4L4.8 0L6.4 6"),
        'X' => (4.0, "M0 0L4 6M0 6L4 0"),
        'Y' => (4.2, "M0 6L2.1 3L4.2 6M2.1 3L2.1 0"),
        'Z' => (4.0, "M.1 6L3.9 6L0 0L4 0"),
        'a' => (3.4, "O1.7 2.05 1.7 2.05M3.4 4.1L3.4 0"),
        'b' => (3.5, "M0 6L0 0O1.75 2.05 1.75 2.05"),
        'c' => (3.0, "a1.75 2.05 1.75 2.05 48 312"),
        'd' => (3.4, "O1.7 2.05 1.7 2.05M3.4 6L3.4 0"),
        'e' => (3.4, "M.1 2.2L3.4 2.2A1.72 2.05 1.7 2.05 4 312"),
        'f' => (2.0, "M.8 0L.8 4.8A2 4.8 1.2 1.25 180 75M0 4L1.9 4"),
        'g' => (3.4, "O1.7 2.05 1.7 2.05M3.4 4.1L3.4 -.2A1.75 -.2 1.65 1.65 0 -150"),
        'h' => (3.2, "M0 6L0 0M0 2.4A1.6 2.4 1.6 1.7 180 0L3.2 0"),
        'i' => (0.0, "M0 4.1L0 0M0 5.6L0 5.75"),
        'j' => (0.9, "M.9 4.1L.9 -.6A-.1 -.6 1 1.2 0 -80M.9 5.6L.9 5.75"),
        'k' => (3.1, "M0 6L0 0M2.9 4.1L0 1.5M1 2.4L3.1 0"),
        'l' => (0.0, "M0 6L0 0"),
        'm' => (
            5.2,
            "M0 4.1L0 0M0 2.6A1.3 2.6 1.3 1.5 180 0L2.6 0M2.6 2.6A3.9 2.6 1.3 1.5 180 0L5.2 0",
        ),
        'n' => (3.2, "M0 4.1L0 0M0 2.4A1.6 2.4 1.6 1.7 180 0L3.2 0"),
        'o' => (3.6, "O1.8 2.05 1.8 2.05"),
        'p' => (3.5, "M0 4.1L0 -1.8O1.75 2.05 1.75 2.05"),
        'q' => (3.4, "M3.4 4.1L3.4 -1.8O1.7 2.05 1.7 2.05"),
        'r' => (1.9, "M0 4.1L0 0M0 2.3A1.7 2.3 1.7 1.75 180 80"),
        's' => (2.8, "a1.4 3.07 1.25 1.03 35 270A1.4 1.02 1.4 1.02 90 -145"),
        't' => (2.1, "M.8 5.5L.8 1.2A2 1.2 1.2 1.2 180 280M0 4.1L2 4.1"),
        'u' => (3.2, "M0 4.1L0 1.7A1.6 1.7 1.6 1.7 180 360M3.2 4.1L3.2 0"),
        'v' => (3.4, "M0 4.1L1.7 0L3.4 4.1"),
        'w' => (5.0, "M0 4.1L1.3 0L2.5 3.8L3.7 0L5 4.1"),
        'x' => (3.1, "M0 0L3.1 4.1M0 4.1L3.1 0"),
        'y' => (3.4, "M0 4.1L1.75 0M3.4 4.1L1.1 -1.7"),
        'z' => (3.0, "M0 4.1L3 4.1L0 0L3.1 0"),
        _ => sign(letter),
    }
}

/// Signs and marks.
fn sign(letter: char) -> (f64, &'static str) {
    match letter {
        ' ' => (SPACE, ""),
        '-' | '\u{2013}' => (2.2, "M0 2.5L2.2 2.5"),
        '\u{2212}' => (3.0, "M0 2.6L3 2.6"),
        '+' => (3.0, "M0 2.6L3 2.6M1.5 1.1L1.5 4.1"),
        '×' => (2.6, "M0 1.3L2.6 3.9M0 3.9L2.6 1.3"),
        '=' => (3.0, "M0 1.8L3 1.8M0 3.4L3 3.4"),
        '.' => (0.2, "M.1 0L.1 .15"),
        ',' => (0.4, "M.4 .15L0 -1"),
        ':' => (0.2, "M.1 0L.1 .15M.1 3.6L.1 3.75"),
        ';' => (0.4, "M.4 .15L0 -1M.4 3.6L.4 3.75"),
        '\'' => (0.0, "M0 6L0 4.6"),
        '"' => (1.2, "M0 6L0 4.6M1.2 6L1.2 4.6"),
        '!' => (0.0, "M0 6L0 1.8M0 0L0 .15"),
        '?' => (3.0, "a1.5 4.5 1.5 1.5 160 -60L1.5 1.8M1.5 0L1.5 .15"),
        '(' => (1.3, "a3.6 2.6 3.6 4.4 130 230"),
        ')' => (1.3, "a-2.3 2.6 3.6 4.4 50 -50"),
        '[' => (1.2, "M1.2 6.6L0 6.6L0 -1L1.2 -1"),
        ']' => (1.2, "M0 6.6L1.2 6.6L1.2 -1L0 -1"),
        '/' => (2.6, "M0 -.6L2.6 6.5"),
        '_' => (3.0, "M0 -.8L3 -.8"),
        '<' => (2.8, "M2.8 4.4L0 2.6L2.8 .8"),
        '>' => (2.8, "M0 4.4L2.8 2.6L0 .8"),
        '%' => (4.6, "O.9 4.9 .9 1.1O3.7 1.1 .9 1.1M.5 0L4.1 6"),
        '#' => (4.0, "M.8 0L1.6 6M2.4 0L3.2 6M0 2L4 2M0 4L4 4"),
        '*' => (2.6, "M1.3 6L1.3 3.2M.1 5.3L2.5 3.9M.1 3.9L2.5 5.3"),
        '^' => (2.4, "M0 4.2L1.2 6L2.4 4.2"),
        '~' => (3.2, "a.8 2.4 .8 .6 180 0A2.4 2.4 .8 .6 180 360"),
        '°' => (1.6, "O.8 5.2 .8 .8"),
        'µ' | 'μ' => (3.2, "M0 4.1L0 -1.8M0 1.7A1.6 1.7 1.6 1.7 180 360M3.2 4.1L3.2 0"),
        '²' => (1.9, "a.95 5.4 .9 .85 170 -30L0 3.3L1.9 3.3"),
        '±' => (3.0, "M0 3.2L3 3.2M1.5 1.7L1.5 4.7M0 .6L3 .6"),
        '√' => (4.0, "M0 2.6L.9 3.1L2 0L3.4 6.6L4.2 6.6"),
        '⟨' => (1.2, "M1.2 6.6L0 2.8L1.2 -1"),
        '⟩' => (1.2, "M0 6.6L1.2 2.8L0 -1"),
        '·' => (0.2, "M.1 2.6L.1 2.75"),
        '≤' => (2.8, "M2.8 5L0 3.4L2.8 1.8M0 .6L2.8 .6"),
        '≥' => (2.8, "M0 5L2.8 3.4L0 1.8M0 .6L2.8 .6"),
        'ℓ' => (2.2, "M0 1.4L1.3 3.4A1.2 4.7 .75 1.3 -20 200L.45 1.6A1.35 1.3 .9 1.3 180 330"),
        'Δ' => (4.4, "M0 0L2.2 6L4.4 0L0 0"),
        'Σ' => (3.6, "M3.6 6L0 6L2 3L0 0L3.6 0"),
        'Φ' => (4.6, "O2.3 3 2.3 1.9M2.3 6L2.3 0"),
        'χ' => (3.2, "M0 4.1A.2 3.5 .7 .6 90 20L2.4 -1.3A3 -1.2 .6 .6 190 300M3.1 4.1L0 -1.8"),
        'σ' => (3.8, "O1.7 2 1.7 2M1.7 4L3.8 4"),
        'π' => (3.8, "M0 4.1L3.8 4.1M1 4.1L1 0M2.8 4.1L2.8 0"),
        'ψ' => (3.8, "M0 4.1L0 2A1.9 2 1.9 2 180 360L3.8 4.1M1.9 5L1.9 -1.8"),
        'λ' => (3.2, "M0 6A.2 5 .8 1 90 10L3.2 0M1.5 3L0 0"),
        'θ' => (2.8, "O1.4 3 1.4 3M0 3L2.8 3"),
        _ => (3.4, "M0 0L0 6L3.4 6L3.4 0L0 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glyph_stays_in_its_box() {
        let letters = ('!'..='~').chain("°µ²×\u{2212}±√⟨⟩·≤≥ℓΔΣΦχσπψλθ".chars());
        for letter in letters {
            let (advance, commands) = glyph(letter);
            for (x, y) in glyph_strokes(commands).into_iter().flatten() {
                let fits = (-1.2..=advance + 0.4).contains(&x) && (-2.0..=7.2).contains(&y);
                assert!(fits, "{letter}: ({x}, {y}) of width {advance}");
            }
        }
    }

    #[test]
    fn raised_text_is_smaller_and_higher() {
        let plain = strokes("3", 6.0);
        let raised = strokes("^{3}", 6.0);
        let top = |lines: &[Vec<(f64, f64)>]| {
            lines.iter().flatten().fold(f64::INFINITY, |m, p| m.min(p.1))
        };
        assert!(top(&raised) < top(&plain));
        assert!(width("10^{3}", 6.0) < width("103", 6.0));
        assert_eq!(width("K_CMB", 6.0), width("K_", 6.0) + width("CMB", 6.0) + GAP);
    }
}
