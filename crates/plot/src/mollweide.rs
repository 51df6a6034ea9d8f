//! The Mollweide projection: equal areas in an ellipse twice as wide as high.

use crate::{Canvas, Colormap};
use skyscat_healpix::{Nside, Ordering, ang2pix, is_seen};
use std::f64::consts::{FRAC_PI_2, PI};

/// Colour of pixels without data.
const MISSING: [u8; 3] = [176, 176, 176];
/// Samples a pixel in each direction.
const SAMPLES: usize = 3;

/// Colatitude and longitude at (x, y) with |x| ≤ 2, |y| ≤ 1, or `None` outside.
///
/// Longitude 0 is in the middle and grows to the left, as the sky is seen from
/// inside.
pub(crate) fn sky(x: f64, y: f64) -> Option<(f64, f64)> {
    if 0.25 * x * x + y * y > 1.0 {
        return None;
    }
    let auxiliary = y.clamp(-1.0, 1.0).asin();
    let latitude = ((2.0 * auxiliary + (2.0 * auxiliary).sin()) / PI).clamp(-1.0, 1.0).asin();
    let cosine = auxiliary.cos();
    let longitude = if cosine > 1e-12 { -FRAC_PI_2 * x / cosine } else { 0.0 };
    Some((FRAC_PI_2 - latitude, longitude.rem_euclid(2.0 * PI)))
}

/// A map and how its numbers become colours.
pub(crate) struct Sphere<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) nside: Nside,
    pub(crate) ordering: Ordering,
    pub(crate) range: (f64, f64),
    pub(crate) colormap: Colormap,
}

impl Sphere<'_> {
    /// Draws the map into the box whose top left corner is (left, top).
    pub(crate) fn draw(&self, canvas: &mut Canvas, (left, top): (f64, f64), width: f64) {
        let height = 0.5 * width;
        let (x0, x1) = (left.floor() as i64, (left + width).ceil() as i64);
        let (y0, y1) = (top.floor() as i64, (top + height).ceil() as i64);
        for py in y0..=y1 {
            for px in x0..=x1 {
                let mut sum = [0.0; 3];
                let mut inside = 0;
                for sample in 0..SAMPLES * SAMPLES {
                    let offset = |i: usize| (i as f64 + 0.5) / SAMPLES as f64;
                    let x = px as f64 + offset(sample % SAMPLES) - left;
                    let y = py as f64 + offset(sample / SAMPLES) - top;
                    let Some(at) = sky(4.0 * x / width - 2.0, 1.0 - 2.0 * y / height) else {
                        continue;
                    };
                    inside += 1;
                    let colour = self.colour(at);
                    sum.iter_mut().zip(colour).for_each(|(s, c)| *s += f64::from(c));
                }
                if inside > 0 {
                    let mean = sum.map(|s| s / f64::from(inside));
                    let all = (SAMPLES * SAMPLES) as f64;
                    canvas.blend(px, py, mean, f64::from(inside) / all);
                }
            }
        }
        let rim: Vec<(f64, f64)> = (0..=360)
            .map(|i| {
                let angle = f64::from(i).to_radians();
                let (x, y) = (0.5 * width * angle.cos(), 0.5 * height * angle.sin());
                (left + 0.5 * width + x, top + 0.5 * height + y)
            })
            .collect();
        for piece in rim.windows(2) {
            canvas.stroke(piece, (width / 700.0).max(1.0), [70, 70, 70]);
        }
    }

    fn colour(&self, (theta, phi): (f64, f64)) -> [u8; 3] {
        let value = self.values[ang2pix(self.nside, self.ordering, theta, phi)];
        if !is_seen(value) {
            return MISSING;
        }
        self.colormap.at((value - self.range.0) / (self.range.1 - self.range.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poles_centre_and_edges_are_where_they_belong() {
        let close = |a: Option<(f64, f64)>, b: (f64, f64)| {
            let a = a.unwrap();
            assert!((a.0 - b.0).abs() < 1e-6 && (a.1 - b.1).abs() < 1e-6, "{a:?} {b:?}");
        };
        close(sky(0.0, 0.0), (FRAC_PI_2, 0.0));
        close(sky(-1.0, 0.0), (FRAC_PI_2, FRAC_PI_2));
        close(sky(1.0, 0.0), (FRAC_PI_2, 1.5 * PI));
        assert!(sky(0.0, 0.99999999).unwrap().0 < 1e-3);
        assert!(sky(1.9, 0.5).is_none());
    }

    #[test]
    fn equal_areas_on_the_sky_are_equal_areas_on_the_page() {
        let n = 600;
        let mut above = 0;
        let mut all = 0;
        for i in 0..n {
            for j in 0..n {
                let at = |k: i32| (f64::from(k) + 0.5) / f64::from(n);
                let Some((theta, _)) = sky(4.0 * at(i) - 2.0, 2.0 * at(j) - 1.0) else { continue };
                all += 1;
                above += i32::from(theta.cos() > 0.5);
            }
        }
        // A quarter of the sphere lies above z = 1/2.
        assert!((f64::from(above) / f64::from(all) - 0.25).abs() < 2e-3);
    }
}
