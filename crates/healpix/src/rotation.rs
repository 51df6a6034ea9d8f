//! Rotations between sky frames, and of the Q/U frame with them.

use crate::pixels::{Point, cross, dot};
use crate::{HealpixError, MapSet, Nside, Ordering, UNSEEN, interpolation, is_unseen, local_frame};
use std::fmt;
use std::str::FromStr;

/// A celestial frame, written in FITS as the COORDSYS letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// Galactic (IAU 1958), "G".
    Galactic,
    /// Mean ecliptic of J2000, "E".
    Ecliptic,
    /// Equatorial of J2000 (ICRS), "C".
    Equatorial,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Galactic => "G",
            Self::Ecliptic => "E",
            Self::Equatorial => "C",
        })
    }
}

impl FromStr for Frame {
    type Err = HealpixError;

    /// Accepts the letters G, E, C (or Q) and the words they begin.
    fn from_str(text: &str) -> Result<Self, HealpixError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "g" | "galactic" => Ok(Self::Galactic),
            "e" | "ecliptic" => Ok(Self::Ecliptic),
            "c" | "q" | "celestial" | "equatorial" => Ok(Self::Equatorial),
            _ => Err(HealpixError::Frame { given: text.into() }),
        }
    }
}

/// Galactic axes in equatorial coordinates, as rows: galactic = A·equatorial.
///
/// ESA 1997, The Hipparcos and Tycho Catalogues (SP-1200), vol. 1, Eq. 1.5.11.
const GALACTIC: [[f64; 3]; 3] = [
    [-0.0548755604, -0.8734370902, -0.4838350155],
    [0.4941094279, -0.4448296300, 0.7469822445],
    [-0.8676661490, -0.1980763734, 0.4559837762],
];

/// Obliquity of the ecliptic at J2000, arcseconds (IAU 2006, Capitaine et al. 2003).
const OBLIQUITY_ARCSEC: f64 = 84381.406;

/// A rotation of directions: `v_out = matrix · v_in`.
///
/// ```
/// use skyscat_healpix::{Frame, Rotation};
/// let to_galactic = Rotation::between(Frame::Equatorial, Frame::Galactic);
/// // The north galactic pole lies at declination 27.128°.
/// let pole = to_galactic.inverse().apply([0.0, 0.0, 1.0]);
/// assert!((pole[2].asin().to_degrees() - 27.1283).abs() < 1e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    matrix: [[f64; 3]; 3],
}

impl Rotation {
    /// A rotation from its matrix, row by row.
    ///
    /// # Errors
    /// [`HealpixError::NotRotation`] unless it is orthonormal and right-handed
    /// within 1e-9.
    pub fn new(matrix: [[f64; 3]; 3]) -> Result<Self, HealpixError> {
        let [a, b, c] = matrix;
        let departure = [
            dot(a, a) - 1.0,
            dot(b, b) - 1.0,
            dot(c, c) - 1.0,
            dot(a, b),
            dot(b, c),
            dot(c, a),
            dot(cross(a, b), c) - 1.0,
        ]
        .iter()
        .fold(
            0.0f64,
            |worst, d| {
                if d.is_nan() { f64::INFINITY } else { worst.max(d.abs()) }
            },
        );
        if departure <= 1e-9 {
            Ok(Self { matrix })
        } else {
            Err(HealpixError::NotRotation { departure })
        }
    }

    /// Right-handed rotation of directions by `angle_rad` about the z axis.
    pub fn about_z(angle_rad: f64) -> Self {
        let (s, c) = angle_rad.sin_cos();
        Self { matrix: [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]] }
    }

    /// Right-handed rotation of directions by `angle_rad` about the y axis.
    pub fn about_y(angle_rad: f64) -> Self {
        let (s, c) = angle_rad.sin_cos();
        Self { matrix: [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]] }
    }

    /// The change of coordinates from one celestial frame to another.
    pub fn between(from: Frame, to: Frame) -> Self {
        Self::from_equatorial(from).inverse().then(Self::from_equatorial(to))
    }

    fn from_equatorial(to: Frame) -> Self {
        let matrix = match to {
            Frame::Equatorial => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Frame::Galactic => orthonormalised(GALACTIC),
            Frame::Ecliptic => {
                let (s, c) = (OBLIQUITY_ARCSEC / 3600.0).to_radians().sin_cos();
                [[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]]
            }
        };
        Self { matrix }
    }

    /// The matrix, row by row.
    pub fn matrix(self) -> [[f64; 3]; 3] {
        self.matrix
    }

    /// The rotation that undoes this one.
    pub fn inverse(self) -> Self {
        let m = self.matrix;
        Self { matrix: [0, 1, 2].map(|i| [m[0][i], m[1][i], m[2][i]]) }
    }

    /// This rotation followed by `next`.
    pub fn then(self, next: Self) -> Self {
        let columns = self.inverse().matrix.map(|column| next.apply(column));
        Self { matrix: columns }.inverse()
    }

    /// The rotated direction.
    pub fn apply(self, v: [f64; 3]) -> [f64; 3] {
        self.matrix.map(|row| dot(row, v))
    }
}

/// The published digits, made orthonormal to rounding.
fn orthonormalised([a, b, _]: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let unit = |v: [f64; 3]| v.map(|x| x / dot(v, v).sqrt());
    let a = unit(a);
    let along = dot(a, b);
    let b = unit([b[0] - along * a[0], b[1] - along * a[1], b[2] - along * a[2]]);
    [a, b, cross(a, b)]
}

/// Maps seen from a rotated frame, by four-point interpolation.
///
/// Pixel p of the result holds the value at `rotation⁻¹ · centre(p)`. Channels
/// named Q and U turn together: the (Q, U) of each of the four pixels is
/// carried along the great circle to the point and turned into the new frame's
/// (e_θ, e_φ), which stays right next to the poles; with POLCCONV "IAU" the
/// sign of U is minded. Any other channel is a scalar. A pixel with an unseen
/// source is [`UNSEEN`]. Ordering, unit and convention stay; the coordinate
/// system is cleared, for only the caller knows the new one.
///
/// # Errors
/// [`HealpixError::LonePolarisation`] if only one of Q and U is there.
pub fn rotate_map(maps: &MapSet, rotation: Rotation) -> Result<MapSet, HealpixError> {
    let pair = polarisation_pair(maps)?;
    let iau = maps.polcconv().is_some_and(|c| c.trim().eq_ignore_ascii_case("IAU"));
    let sign = if iau { -1.0 } else { 1.0 };
    let source = maps.data();
    let mut data = source.to_owned();
    for pix in 0..maps.nside().npix() {
        let sources = sources(maps.nside(), maps.ordering(), rotation, pix);
        for map in 0..maps.n_maps() {
            for channel in 0..maps.channels().len() {
                data[[map, channel, pix]] = gathered(&sources, |s| {
                    let here = source[[map, channel, s.pix]];
                    match pair {
                        Some((q, u)) if channel == q => {
                            [(s.cos2, here), (sign * s.sin2, source[[map, u, s.pix]])]
                        }
                        Some((q, u)) if channel == u => {
                            [(s.cos2, here), (-sign * s.sin2, source[[map, q, s.pix]])]
                        }
                        _ => [(1.0, here), (0.0, 0.0)],
                    }
                });
            }
        }
    }
    Ok(maps.with_data(data).with_coordsys(None))
}

/// Indices of Q and U, if the set has them.
fn polarisation_pair(maps: &MapSet) -> Result<Option<(usize, usize)>, HealpixError> {
    let lone = |present, missing| HealpixError::LonePolarisation {
        present,
        missing,
        available: maps.channels().to_vec(),
    };
    match (maps.channel("Q"), maps.channel("U")) {
        (Ok(q), Ok(u)) => Ok(Some((q, u))),
        (Ok(_), Err(_)) => Err(lone("Q", "U")),
        (Err(_), Ok(_)) => Err(lone("U", "Q")),
        _ => Ok(None),
    }
}

/// One of the four pixels behind a rotated pixel.
struct Source {
    pix: usize,
    weight: f64,
    /// Cosine and sine of twice the angle from its e_θ to the new one.
    cos2: f64,
    sin2: f64,
}

/// The sources of output pixel `pix`.
fn sources(nside: Nside, ordering: Ordering, rotation: Rotation, pix: usize) -> [Source; 4] {
    let back = rotation.inverse();
    let frame = local_frame(nside, ordering, pix);
    let (r, e) = (back.apply(frame.r), back.apply(frame.e_theta));
    let point = Point::from_vector(r);
    let (pixels, weights) = interpolation(nside, ordering, point.theta_rad(), point.phi_rad);
    std::array::from_fn(|k| {
        let there = local_frame(nside, ordering, pixels[k]);
        // e carried from r to there.r along the great circle between them.
        let slope = dot(e, there.r) / (1.0 + dot(r, there.r));
        let carried: [f64; 3] = std::array::from_fn(|i| e[i] - slope * (r[i] + there.r[i]));
        let (c, s) = (dot(carried, there.e_theta), dot(carried, there.e_phi));
        Source { pix: pixels[k], weight: weights[k], cos2: c * c - s * s, sin2: 2.0 * s * c }
    })
}

/// Weighted sum over the sources, or [`UNSEEN`] if one of them is.
fn gathered(sources: &[Source; 4], terms: impl Fn(&Source) -> [(f64, f64); 2]) -> f64 {
    let mut sum = 0.0;
    for s in sources {
        for (factor, value) in terms(s) {
            if is_unseen(value) {
                return UNSEEN;
            }
            sum += s.weight * factor * value;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::max_pixel_radius;
    use ndarray::Array3;

    /// Q and U of the uniform field with polarisation tensor M, projected at r.
    fn projected(frame: crate::LocalFrame, m: [[f64; 3]; 3]) -> (f64, f64) {
        let form = |a: [f64; 3], b: [f64; 3]| dot(a, m.map(|row| dot(row, b)));
        let (t, p) = (frame.e_theta, frame.e_phi);
        ((form(t, t) - form(p, p)) / 2.0, form(t, p))
    }

    #[test]
    fn polarisation_turns_with_the_frame_also_at_the_poles() {
        let rotation = Rotation::about_z(0.4).then(Rotation::about_y(1.1));
        let m = [[1.0, 0.3, 0.2], [0.3, -0.5, 0.7], [0.2, 0.7, -0.5]];
        // In the new frame the tensor is R M Rᵀ.
        let rows = m.map(|row| rotation.apply(row));
        let columns = Rotation { matrix: rows }.inverse().matrix;
        let turned = columns.map(|column| rotation.apply(column));
        for (n, polcconv, sign) in [(32, "COSMO", 1.0), (32, "IAU", -1.0), (64, "COSMO", 1.0)] {
            let nside = Nside::new(n).unwrap();
            // Next to the poles four-point interpolation is of first order.
            let bound = 0.15 * max_pixel_radius(nside);
            let field = |m| {
                let mut data = Array3::zeros((1, 2, nside.npix()));
                for pix in 0..nside.npix() {
                    let (q, u) = projected(local_frame(nside, Ordering::Ring, pix), m);
                    data[[0, 0, pix]] = q;
                    data[[0, 1, pix]] = sign * u;
                }
                MapSet::new(Ordering::Ring, &["Q", "U"], data)
                    .unwrap()
                    .with_polcconv(Some(polcconv.into()))
            };
            let found = rotate_map(&field(m), rotation).unwrap();
            let wanted = field(turned);
            let worst = (&found.data() - &wanted.data()).iter().fold(0.0f64, |w, d| w.max(d.abs()));
            assert!(worst < bound, "{worst} of {bound}");
            // Must fail: the inverse rotation is another map.
            let wrong = rotate_map(&field(m), rotation.inverse()).unwrap();
            assert!((&wrong.data() - &wanted.data()).iter().any(|d| d.abs() > 0.1));
        }
    }

    #[test]
    fn frames_close_a_circle() {
        use Frame::{Ecliptic, Equatorial, Galactic};
        let round = Rotation::between(Equatorial, Galactic)
            .then(Rotation::between(Galactic, Ecliptic))
            .then(Rotation::between(Ecliptic, Equatorial));
        let v = round.apply([0.36, 0.48, 0.8]);
        assert!((v[0] - 0.36).abs() + (v[1] - 0.48).abs() + (v[2] - 0.8).abs() < 1e-14);
        assert!(Rotation::new([[1.0, 0.0, 0.0]; 3]).is_err());
        assert!(Rotation::new(Rotation::about_y(0.3).matrix()).is_ok());
    }
}
