//! Maps of the sphere on a page.

use crate::scene::{Anchor, Frame, Point, Scene, Stroke, TextStyle};
use crate::{Colormap, INK, Image, PlotError, Rgb, TEXT};
use skyscat_healpix::{Nside, Ordering, ang2pix, is_seen};
use std::f64::consts::{FRAC_PI_2, PI};

/// Colour of pixels without data.
const MISSING: Rgb = [176; 3];
/// Samples an image pixel in each direction.
const SAMPLES: usize = 3;

/// How the sphere is laid on the page, as it is seen from inside: longitude grows
/// to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Projection {
    /// The whole sphere in an ellipse, areas true.
    Mollweide,
    /// What lies around a direction, great circles straight.
    Gnomonic {
        /// Longitude of the middle, degrees.
        longitude_deg: f64,
        /// Latitude of the middle, degrees.
        latitude_deg: f64,
        /// Side of the square in the tangent plane, as an angle, 0 to 170 degrees.
        size_deg: f64,
    },
}

impl Projection {
    /// Height over width.
    pub(crate) fn aspect(self) -> f64 {
        match self {
            Self::Mollweide => 0.5,
            Self::Gnomonic { .. } => 1.0,
        }
    }

    fn check(self) -> Result<(), PlotError> {
        let Self::Gnomonic { longitude_deg, latitude_deg, size_deg } = self else {
            return Ok(());
        };
        let fine = longitude_deg.is_finite()
            && (-90.0..=90.0).contains(&latitude_deg)
            && size_deg > 0.0
            && size_deg <= 170.0;
        if fine {
            return Ok(());
        }
        Err(PlotError::Setting {
            name: "view",
            given: format!("longitude {longitude_deg}, latitude {latitude_deg}, size {size_deg}"),
            allowed: "any longitude, latitudes -90 to 90, sizes above 0 and up to 170 degrees",
        })
    }

    /// Colatitude and longitude at (x, y), both from 0 (left, top) to 1.
    pub(crate) fn sky(self, x: f64, y: f64) -> Option<(f64, f64)> {
        match self {
            Self::Mollweide => mollweide(4.0 * x - 2.0, 1.0 - 2.0 * y),
            Self::Gnomonic { longitude_deg, latitude_deg, size_deg } => {
                let half = (0.5 * size_deg.to_radians()).tan();
                let (east, north) = ((1.0 - 2.0 * x) * half, (1.0 - 2.0 * y) * half);
                let (sin_b, cos_b) = latitude_deg.to_radians().sin_cos();
                let forward = cos_b - north * sin_b;
                let up = sin_b + north * cos_b;
                let longitude = longitude_deg.to_radians() + east.atan2(forward);
                Some((forward.hypot(east).atan2(up), longitude.rem_euclid(2.0 * PI)))
            }
        }
    }

    /// Where a direction lies, the inverse of `sky`; `None` if it is not shown.
    fn page(self, theta: f64, phi: f64) -> Option<Point> {
        match self {
            Self::Mollweide => {
                let aim = PI * theta.cos();
                // 2a + sin 2a = π cos θ, by Newton's method from a good start.
                let mut a = (FRAC_PI_2 - theta) * 0.9;
                for _ in 0..30 {
                    let slope = 2.0 + 2.0 * (2.0 * a).cos();
                    if slope < 1e-9 {
                        break;
                    }
                    a -= (2.0 * a + (2.0 * a).sin() - aim) / slope;
                    a = a.clamp(-FRAC_PI_2, FRAC_PI_2);
                }
                let longitude = (phi + PI).rem_euclid(2.0 * PI) - PI;
                let x = -longitude / FRAC_PI_2 * a.cos();
                Some((0.25 * (x + 2.0), 0.5 * (1.0 - a.sin())))
            }
            Self::Gnomonic { longitude_deg, latitude_deg, size_deg } => {
                let half = (0.5 * size_deg.to_radians()).tan();
                let (sin_b, cos_b) = latitude_deg.to_radians().sin_cos();
                let (sin_l, cos_l) = (phi - longitude_deg.to_radians()).sin_cos();
                let (sin_t, cos_t) = theta.sin_cos();
                let depth = sin_b * cos_t + cos_b * sin_t * cos_l;
                let east = sin_t * sin_l / depth;
                let north = (cos_b * cos_t - sin_b * sin_t * cos_l) / depth;
                let shown = depth > 1e-6 && east.abs() <= half && north.abs() <= half;
                shown.then_some((0.5 * (1.0 - east / half), 0.5 * (1.0 - north / half)))
            }
        }
    }
}

/// Colatitude and longitude at (x, y) with |x| ≤ 2, |y| ≤ 1, or `None` outside.
fn mollweide(x: f64, y: f64) -> Option<(f64, f64)> {
    if 0.25 * x * x + y * y > 1.0 {
        return None;
    }
    let auxiliary = y.clamp(-1.0, 1.0).asin();
    let latitude = ((2.0 * auxiliary + (2.0 * auxiliary).sin()) / PI).clamp(-1.0, 1.0).asin();
    let cosine = auxiliary.cos();
    let longitude = if cosine > 1e-12 { -FRAC_PI_2 * x / cosine } else { 0.0 };
    Some((FRAC_PI_2 - latitude, longitude.rem_euclid(2.0 * PI)))
}

/// The range that holds 99 % of the values: symmetric about 0 if they have both
/// signs. `None` without any seen value.
pub fn natural_range(values: &[f64]) -> Option<(f64, f64)> {
    let mut seen: Vec<f64> = values.iter().copied().filter(|&v| is_seen(v)).collect();
    seen.sort_by(f64::total_cmp);
    let (&least, &most) = (seen.first()?, seen.last()?);
    if least < 0.0 && most > 0.0 {
        let mut sizes: Vec<f64> = seen.iter().map(|v| v.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let size = sizes[(0.99 * (sizes.len() - 1) as f64) as usize];
        return Some((-size, size));
    }
    let at = |f: f64| seen[(f * (seen.len() - 1) as f64) as usize];
    let (low, high) = (at(0.005), at(0.995));
    // A constant map still needs two ends.
    let margin = if high > low { 0.0 } else { high.abs().max(1.0) * 0.5 };
    Some((low - margin, high + margin))
}

/// A map and how it is shown.
#[derive(Clone, Debug)]
pub struct SkyMap {
    /// Title above it; empty for none.
    pub title: String,
    /// Values, one a pixel; UNSEEN and NaN are grey.
    pub values: Vec<f64>,
    /// Their ordering.
    pub ordering: Ordering,
    /// How the sphere is laid on the page.
    pub projection: Projection,
    /// Values of the first and the last colour.
    pub range: (f64, f64),
    /// The colours.
    pub colormap: Colormap,
    /// Degrees between the lines of a graticule; `None` draws none.
    pub graticule_deg: Option<f64>,
}

impl SkyMap {
    pub(crate) fn check(&self) -> Result<(), PlotError> {
        Nside::from_npix(self.values.len())?;
        self.projection.check()?;
        if let Some(step) = self.graticule_deg.filter(|s| !(1.0..=90.0).contains(s)) {
            return Err(PlotError::Setting {
                name: "graticule",
                given: step.to_string(),
                allowed: "1 to 90 degrees between lines",
            });
        }
        crate::check_range(self.range)
    }

    /// Draws the map, `resolution` image pixels a point.
    pub(crate) fn draw(&self, scene: &mut Scene, frame: Frame, resolution: f64) {
        let nside = Nside::from_npix(self.values.len()).expect("checked");
        let (width, height) = (
            (frame.width * resolution).round() as usize,
            (frame.height * resolution).round() as usize,
        );
        let colour = |theta, phi| {
            let value = self.values[ang2pix(nside, self.ordering, theta, phi)];
            match is_seen(value) {
                true => self.colormap.at((value - self.range.0) / (self.range.1 - self.range.0)),
                false => MISSING,
            }
        };
        let image = Image::from_fn(width.max(1), height.max(1), |px, py| {
            let (mut sum, mut inside) = ([0u32; 3], 0u32);
            for sample in 0..SAMPLES * SAMPLES {
                let at = |p: usize, i: usize, of: usize| {
                    (p as f64 + (i as f64 + 0.5) / SAMPLES as f64) / of as f64
                };
                let (x, y) = (at(px, sample % SAMPLES, width), at(py, sample / SAMPLES, height));
                let Some((theta, phi)) = self.projection.sky(x, y) else { continue };
                inside += 1;
                sum.iter_mut().zip(colour(theta, phi)).for_each(|(s, c)| *s += u32::from(c));
            }
            let cover = 255 * inside as usize / (SAMPLES * SAMPLES);
            (sum.map(|s| (s / inside.max(1)) as u8), cover as u8)
        });
        scene.picture(image, frame);
        if let Some(step) = self.graticule_deg {
            self.graticule(scene, frame, step);
        }
        scene.lines(vec![self.rim(frame)], Stroke::solid(0.7, [70; 3]));
        let style = TextStyle { size: TEXT, anchor: Anchor::Middle, colour: INK, upright: false };
        scene.text(&self.title, (frame.left + 0.5 * frame.width, frame.top - 7.0), style);
    }

    fn rim(&self, frame: Frame) -> Vec<Point> {
        if self.projection != Projection::Mollweide {
            return frame.outline();
        }
        let (rx, ry) = (0.5 * frame.width, 0.5 * frame.height);
        let at = |i: i32| {
            let angle = f64::from(i).to_radians();
            (frame.left + rx + rx * angle.cos(), frame.top + ry + ry * angle.sin())
        };
        (0..=360).map(at).collect()
    }

    fn graticule(&self, scene: &mut Scene, frame: Frame, step: f64) {
        let mut lines: Vec<Vec<Point>> = Vec::new();
        let mut add = |directions: &mut dyn Iterator<Item = (f64, f64)>| {
            let mut line: Vec<Point> = Vec::new();
            for (theta, phi) in directions {
                let place = self.projection.page(theta, phi);
                let place = place
                    .map(|(x, y)| (frame.left + x * frame.width, frame.top + y * frame.height));
                // A line is cut where it leaves the page or jumps across it.
                let jumps =
                    |p: &Point| line.last().is_some_and(|l| (l.0 - p.0).abs() > 0.2 * frame.width);
                match place {
                    Some(p) if !jumps(&p) => line.push(p),
                    Some(p) => lines.push(std::mem::replace(&mut line, vec![p])),
                    None => lines.push(std::mem::take(&mut line)),
                }
            }
            lines.push(line);
        };
        let fine = |i: i32| f64::from(i).to_radians();
        for k in 0..(360.0 / step).ceil() as i32 {
            let phi = (f64::from(k) * step).to_radians();
            add(&mut (1..180).map(|i| (fine(i), phi)));
        }
        for k in 1..(180.0 / step).ceil() as i32 {
            let theta = (f64::from(k) * step).to_radians();
            add(&mut (-180..=180).map(|i| (theta, fine(i).clamp(1e-9 - PI, PI - 1e-9))));
        }
        lines.retain(|line| line.len() > 1);
        scene.lines(lines, Stroke::solid(0.35, [90; 3]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: Projection =
        Projection::Gnomonic { longitude_deg: 30.0, latitude_deg: 40.0, size_deg: 60.0 };

    #[test]
    fn poles_centre_and_edges_are_where_they_belong() {
        let close = |a: Option<(f64, f64)>, b: (f64, f64)| {
            let a = a.unwrap();
            assert!((a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6, "{a:?} {b:?}");
        };
        close(mollweide(0.0, 0.0), (FRAC_PI_2, 0.0));
        close(mollweide(-1.0, 0.0), (FRAC_PI_2, FRAC_PI_2));
        close(mollweide(1.0, 0.0), (FRAC_PI_2, 1.5 * PI));
        assert!(mollweide(0.0, 0.99999999).unwrap().0 < 1e-3);
        assert!(mollweide(1.9, 0.5).is_none());
        close(VIEW.sky(0.5, 0.5), (50f64.to_radians(), 30f64.to_radians()));
        // Upwards is north, leftwards is east.
        assert!(VIEW.sky(0.5, 0.4).unwrap().0 < 50f64.to_radians());
        assert!(VIEW.sky(0.4, 0.5).unwrap().1 > 30f64.to_radians());
    }

    #[test]
    fn both_directions_of_a_projection_agree() {
        for projection in [Projection::Mollweide, VIEW] {
            for (x, y) in [(0.5, 0.5), (0.3, 0.4), (0.61, 0.72), (0.45, 0.13)] {
                let (theta, phi) = projection.sky(x, y).unwrap();
                let back = projection.page(theta, phi).unwrap();
                let error = (back.0 - x).abs().max((back.1 - y).abs());
                assert!(error < 1e-9, "{projection:?} ({x}, {y}): {back:?}");
            }
        }
        assert!(VIEW.page(2.6, 3.0).is_none());
    }

    #[test]
    fn equal_areas_on_the_sky_are_equal_areas_on_the_page() {
        let n = 600;
        let (mut above, mut all) = (0, 0);
        for i in 0..n * n {
            let at = |k: i32| (f64::from(k) + 0.5) / f64::from(n);
            let found = Projection::Mollweide.sky(at(i % n), at(i / n));
            let Some((theta, _)) = found else { continue };
            all += 1;
            above += i32::from(theta.cos() > 0.5);
        }
        // A quarter of the sphere lies above z = 1/2.
        assert!((f64::from(above) / f64::from(all) - 0.25).abs() < 2e-3);
    }
}
