//! A scene as pixels, by tiny-skia.

use crate::scene::{Frame, Item, Point, Scene, Stroke};
use crate::{Image, PlotError, Rgb};
use tiny_skia::{
    Color, FillRule, FilterQuality, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap,
    PixmapPaint, StrokeDash, Transform,
};

impl Scene {
    /// The scene as an image, `scale` pixels a point.
    ///
    /// # Errors
    /// [`PlotError::Setting`] for a size without pixels or beyond 16,000 a side.
    pub fn to_image(&self, scale: f64) -> Result<Image, PlotError> {
        let side = |points: f64| (points * scale).ceil();
        let (width, height) = (side(self.width()), side(self.height()));
        let allowed = |n: f64| (1.0..=16_000.0).contains(&n);
        if !(allowed(width) && allowed(height)) {
            return Err(PlotError::Setting {
                name: "size",
                given: format!("{width} x {height} pixels"),
                allowed: "1 to 16000 pixels a side",
            });
        }
        let mut page = Pixmap::new(width as u32, height as u32).expect("size checked above");
        page.fill(Color::WHITE);
        let transform = Transform::from_scale(scale as f32, scale as f32);
        for item in &self.items {
            draw(&mut page, item, transform);
        }
        Ok(Image::from_rgba(width as usize, height as usize, page.take_demultiplied()))
    }

    /// The scene as PNG, `scale` pixels a point.
    ///
    /// # Errors
    /// Those of [`Scene::to_image`], and of the encoder.
    pub fn to_png(&self, scale: f64) -> Result<Vec<u8>, PlotError> {
        self.to_image(scale)?.to_png()
    }
}

fn draw(page: &mut Pixmap, item: &Item, transform: Transform) {
    match item {
        Item::Lines { lines, stroke, clip } => {
            let Some(path) = path(lines, false) else { return };
            let mask = clip.map(|frame| mask(page, frame, transform));
            let look = pen(stroke);
            page.stroke_path(&path, &paint(stroke.colour, 1.0), &look, transform, mask.as_ref());
        }
        Item::Area { points, colour, opacity, clip } => {
            let Some(path) = path(std::slice::from_ref(points), true) else { return };
            let mask = clip.map(|frame| mask(page, frame, transform));
            let ink = paint(*colour, *opacity);
            page.fill_path(&path, &ink, FillRule::Winding, transform, mask.as_ref());
        }
        Item::Picture { image, frame } => {
            let Some(pixels) = pixmap(image) else { return };
            let (sx, sy) =
                (frame.width / image.width() as f64, frame.height / image.height() as f64);
            let place = transform
                .pre_translate(frame.left as f32, frame.top as f32)
                .pre_scale(sx as f32, sy as f32);
            // Shrunk images are averaged, enlarged ones keep their pixels.
            let shrunk = place.sx < 1.0;
            let quality = if shrunk { FilterQuality::Bilinear } else { FilterQuality::Nearest };
            let look = PixmapPaint { quality, ..PixmapPaint::default() };
            page.draw_pixmap(0, 0, pixels.as_ref(), &look, place, None);
        }
    }
}

fn path(lines: &[Vec<Point>], close: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for line in lines {
        let mut points = line.iter().filter(|p| p.0.is_finite() && p.1.is_finite());
        let Some(&(x, y)) = points.next() else { continue };
        builder.move_to(x as f32, y as f32);
        points.for_each(|&(x, y)| builder.line_to(x as f32, y as f32));
        if close {
            builder.close();
        }
    }
    builder.finish()
}

fn paint(colour: Rgb, opacity: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    let alpha = (255.0 * opacity.clamp(0.0, 1.0)).round() as u8;
    paint.set_color_rgba8(colour[0], colour[1], colour[2], alpha);
    paint
}

fn pen(stroke: &Stroke) -> tiny_skia::Stroke {
    tiny_skia::Stroke {
        width: stroke.width as f32,
        line_cap: if stroke.dash.is_some() { LineCap::Butt } else { LineCap::Round },
        line_join: LineJoin::Round,
        dash: stroke.dash.and_then(|d| StrokeDash::new(vec![d as f32, 0.75 * d as f32], 0.0)),
        ..tiny_skia::Stroke::default()
    }
}

fn mask(page: &Pixmap, frame: Frame, transform: Transform) -> Mask {
    let mut mask = Mask::new(page.width(), page.height()).expect("the page has pixels");
    if let Some(path) = path(&[frame.outline()], true) {
        mask.fill_path(&path, FillRule::Winding, true, transform);
    }
    mask
}

fn pixmap(image: &Image) -> Option<Pixmap> {
    let size = tiny_skia::IntSize::from_wh(image.width() as u32, image.height() as u32)?;
    let multiplied = (image.rgba().chunks_exact(4))
        .flat_map(|p| {
            let times = |c: u8| (u16::from(c) * u16::from(p[3]) / 255) as u8;
            [times(p[0]), times(p[1]), times(p[2]), p[3]]
        })
        .collect();
    Pixmap::from_vec(multiplied, size)
}
