//! Images of coloured pixels.

use crate::{PlotError, Rgb};

/// An RGBA image, rows from the top, colours not multiplied by opacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgba: Vec<u8>,
}

impl Image {
    /// An image of one colour.
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        let pixel = [colour[0], colour[1], colour[2], 255];
        Self { width, height, rgba: pixel.repeat(width * height) }
    }

    /// An image from the colour and opacity (0 to 255) of each pixel (x, y).
    pub fn from_fn(
        width: usize,
        height: usize,
        colour: impl Fn(usize, usize) -> (Rgb, u8),
    ) -> Self {
        let mut rgba = Vec::with_capacity(4 * width * height);
        for y in 0..height {
            for x in 0..width {
                let ([r, g, b], opacity) = colour(x, y);
                rgba.extend([r, g, b, opacity]);
            }
        }
        Self { width, height, rgba }
    }

    pub(crate) fn from_rgba(width: usize, height: usize, rgba: Vec<u8>) -> Self {
        Self { width, height, rgba }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    pub(crate) fn rgba(&self) -> &[u8] {
        &self.rgba
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
