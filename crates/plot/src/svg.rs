//! A scene as SVG.

use crate::scene::{Frame, Item, Point, Scene, Stroke};
use crate::{PlotError, Rgb};
use base64::Engine;
use std::fmt::Write;

impl Scene {
    /// The scene as SVG, letters as lines: it needs no font and no other file.
    ///
    /// # Errors
    /// [`PlotError::Png`] if an image in it cannot be encoded.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let (width, height) = (number(self.width()), number(self.height()));
        let title = escape(self.title());
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let mut clips: Vec<Frame> = Vec::new();
        for item in &self.items {
            let (Item::Lines { clip, .. } | Item::Area { clip, .. }) = item else { continue };
            let Some(frame) = clip.filter(|frame| !clips.contains(frame)) else { continue };
            let corners = commands(&[frame.outline()], true);
            put(
                &mut text,
                &format!("<clipPath id=\"c{}\"><path d=\"{corners}\"/></clipPath>", clips.len()),
            );
            clips.push(frame);
        }
        let clipped = |clip: &Option<Frame>| match clip {
            None => String::new(),
            Some(frame) => {
                let at = clips.iter().position(|c| c == frame).expect("listed above");
                format!(" clip-path=\"url(#c{at})\"")
            }
        };
        for item in &self.items {
            match item {
                Item::Lines { lines, stroke, clip } => put(
                    &mut text,
                    &format!(
                        "<path d=\"{}\"{}{}/>",
                        commands(lines, false),
                        look(stroke),
                        clipped(clip)
                    ),
                ),
                Item::Area { points, colour, opacity, clip } => put(
                    &mut text,
                    &format!(
                        "<path d=\"{}\" fill=\"{}\" fill-opacity=\"{}\"{}/>",
                        commands(std::slice::from_ref(points), true),
                        hex(*colour),
                        number(*opacity),
                        clipped(clip)
                    ),
                ),
                Item::Picture { image, frame } => {
                    let data = base64::engine::general_purpose::STANDARD.encode(image.to_png()?);
                    put(
                        &mut text,
                        &format!(
                            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" \
                         preserveAspectRatio=\"none\" image-rendering=\"{}\" \
                         href=\"data:image/png;base64,{data}\"/>",
                            number(frame.left),
                            number(frame.top),
                            number(frame.width),
                            number(frame.height),
                            if image.width() as f64 >= frame.width { "auto" } else { "pixelated" }
                        ),
                    );
                }
            }
        }
        text.push_str("</svg>\n");
        Ok(text)
    }
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("strings do not fail");
}

/// Path commands in hundredths of a point.
fn commands(lines: &[Vec<Point>], close: bool) -> String {
    let mut path = String::new();
    for line in lines {
        let finite = line.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
        for (i, (x, y)) in finite.enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            write!(path, "{command}{} {}", number(*x), number(*y)).expect("strings do not fail");
        }
        if close {
            path.push('Z');
        }
    }
    path
}

fn look(stroke: &Stroke) -> String {
    let (cap, dash) = match stroke.dash {
        None => ("round", String::new()),
        Some(d) => ("butt", format!(" stroke-dasharray=\"{} {}\"", number(d), number(0.75 * d))),
    };
    format!(
        " fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linecap=\"{cap}\" \
         stroke-linejoin=\"round\"{dash}",
        hex(stroke.colour),
        number(stroke.width)
    )
}

fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
