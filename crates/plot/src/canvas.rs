//! An image that is drawn on with soft edges.

use crate::{PlotError, Rgb};

/// An RGBA image, rows from the top.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl Canvas {
    /// An image of one colour.
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        let pixel = [colour[0], colour[1], colour[2], 255];
        Self { width, height, rgba: pixel.repeat(width * height) }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour of a pixel.
    ///
    /// # Panics
    /// If it lies outside.
    pub fn pixel(&self, x: usize, y: usize) -> Rgb {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) lies outside");
        let at = 4 * (y * self.width + x);
        [self.rgba[at], self.rgba[at + 1], self.rgba[at + 2]]
    }

    /// Lays a colour over a pixel; pixels outside are left out.
    pub(crate) fn blend(&mut self, x: i64, y: i64, colour: [f64; 3], cover: f64) {
        let inside = (0..self.width as i64).contains(&x) && (0..self.height as i64).contains(&y);
        if !inside || cover <= 0.0 {
            return;
        }
        let at = 4 * (y as usize * self.width + x as usize);
        for (own, new) in self.rgba[at..at + 3].iter_mut().zip(colour) {
            let mixed = f64::from(*own) * (1.0 - cover) + new * cover;
            *own = mixed.round().clamp(0.0, 255.0) as u8;
        }
    }

    /// Draws a line with round ends; coordinates are in pixels from the top left.
    pub(crate) fn stroke(&mut self, points: &[(f64, f64)], width: f64, colour: Rgb) {
        let ink = colour.map(f64::from);
        let reach = 0.5 * width + 1.0;
        let (xs, ys) = (points.iter().map(|p| p.0), points.iter().map(|p| p.1));
        let low = |v: &mut dyn Iterator<Item = f64>| v.fold(f64::INFINITY, f64::min) - reach;
        let high = |v: &mut dyn Iterator<Item = f64>| v.fold(f64::NEG_INFINITY, f64::max) + reach;
        let (x0, x1) = (low(&mut xs.clone()).floor() as i64, high(&mut xs.clone()).ceil() as i64);
        let (y0, y1) = (low(&mut ys.clone()).floor() as i64, high(&mut ys.clone()).ceil() as i64);
        for y in y0..=y1 {
            for x in x0..=x1 {
                let centre = (x as f64 + 0.5, y as f64 + 0.5);
                let near = points.windows(2).map(|w| distance(centre, w[0], w[1]));
                let nearest = near.fold(f64::INFINITY, f64::min);
                self.blend(x, y, ink, (0.5 * width + 0.5 - nearest).clamp(0.0, 1.0));
            }
        }
    }

    /// The image as PNG.
    ///
    /// # Errors
    /// [`PlotError::Png`] if the encoder refuses the size.
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgba)?;
        writer.finish()?;
        Ok(bytes)
    }
}

/// Distance of a point from a segment.
fn distance(p: (f64, f64), a: (f64, f64), b: (f64, f64)) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let squared = dx * dx + dy * dy;
    let t = match squared > 0.0 {
        true => (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / squared).clamp(0.0, 1.0),
        false => 0.0,
    };
    (p.0 - a.0 - t * dx).hypot(p.1 - a.1 - t * dy)
}
