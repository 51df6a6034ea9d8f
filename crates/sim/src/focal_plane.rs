//! The focal plane: detectors grouped into horns, which share a line of sight.

use crate::config::{Detector, Placement};
use skyscat_healpix::Rotation;

/// Detectors that look the same way: what differs is their polarisation angle.
#[derive(Clone, Debug)]
pub(crate) struct Horn {
    /// Columns x̂, ŷ, ẑ of the first detector's frame, in the boresight frame.
    pub(crate) axes: [[f64; 3]; 3],
    /// Its detectors.
    pub(crate) members: Vec<Member>,
}

/// A detector in its horn, turned by χ from the first one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Place in the configuration.
    pub(crate) detector: usize,
    pub(crate) weight: f64,
    /// cos 2χ and sin 2χ.
    pub(crate) cos2: f64,
    pub(crate) sin2: f64,
}

impl Member {
    /// w (1, cos 2χ, sin 2χ): what one unit of its signal gives the horn's sums.
    pub(crate) fn response(&self) -> [f64; 3] {
        [self.weight, self.weight * self.cos2, self.weight * self.sin2]
    }
}

impl Horn {
    /// Σ w, Σ w e^{2iχ}, Σ w e^{4iχ}: how the horn's moments enter M.
    pub(crate) fn weights(&self) -> [f64; 5] {
        let mut sums = [0.0; 5];
        for m in &self.members {
            let (cos4, sin4) = (m.cos2 * m.cos2 - m.sin2 * m.sin2, 2.0 * m.cos2 * m.sin2);
            for (sum, term) in sums.iter_mut().zip([1.0, m.cos2, m.sin2, cos4, sin4]) {
                *sum += m.weight * term;
            }
        }
        sums
    }
}

/// Right-handed rotation about the x axis.
pub(crate) fn about_x(angle_rad: f64) -> Rotation {
    let (s, c) = angle_rad.sin_cos();
    Rotation::new([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]).expect("a rotation")
}

impl Placement {
    /// The rotation from the boresight frame to the detector's frame.
    pub fn rotation(&self) -> Rotation {
        match *self {
            Self::Angles { along_deg, across_deg, polarisation_deg } => {
                Rotation::about_z(polarisation_deg.to_radians())
                    .then(about_x(across_deg.to_radians()))
                    .then(Rotation::about_y(along_deg.to_radians()))
            }
            Self::Quaternion(q) => {
                let norm = q.iter().map(|x| x * x).sum::<f64>().sqrt();
                let [x, y, z, w] = q.map(|c| c / norm);
                Rotation::new([
                    [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
                    [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
                    [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
                ])
                .expect("a unit quaternion is a rotation")
            }
        }
    }

    /// The unit quaternion x, y, z, w of this placement, with w ≥ 0.
    ///
    /// ```
    /// use skyscat_sim::Placement;
    /// let q = Placement::Angles { along_deg: 0.0, across_deg: 0.0, polarisation_deg: 90.0 };
    /// let half = 0.5f64.sqrt();
    /// for (a, b) in q.quaternion().into_iter().zip([0.0, 0.0, half, half]) {
    ///     assert!((a - b).abs() < 1e-15);
    /// }
    /// ```
    pub fn quaternion(&self) -> [f64; 4] {
        let product = |[ax, ay, az, aw]: [f64; 4], [bx, by, bz, bw]: [f64; 4]| {
            [
                aw * bx + ax * bw + ay * bz - az * by,
                aw * by - ax * bz + ay * bw + az * bx,
                aw * bz + ax * by - ay * bx + az * bw,
                aw * bw - ax * bx - ay * by - az * bz,
            ]
        };
        let q = match *self {
            Self::Angles { along_deg, across_deg, polarisation_deg } => {
                let half = |deg: f64| (deg.to_radians() / 2.0).sin_cos();
                let ((sa, ca), (sx, cx), (sz, cz)) =
                    (half(along_deg), half(across_deg), half(polarisation_deg));
                product(product([0.0, sa, 0.0, ca], [sx, 0.0, 0.0, cx]), [0.0, 0.0, sz, cz])
            }
            Self::Quaternion(q) => {
                let norm = q.iter().map(|x| x * x).sum::<f64>().sqrt();
                q.map(|c| c / norm)
            }
        };
        if q[3] < 0.0 { q.map(|c| -c) } else { q }
    }
}

/// Groups detectors by their line of sight, in the order of the configuration.
pub(crate) fn horns(detectors: &[Detector]) -> Vec<Horn> {
    // Lines of sight nearer than this are one; 1e-9 rad is 0.2 milliarcseconds.
    const SAME: f64 = 1e-9;
    let mut horns: Vec<Horn> = Vec::new();
    for (index, detector) in detectors.iter().enumerate() {
        let m = detector.placement.rotation().matrix();
        let axes: [[f64; 3]; 3] = std::array::from_fn(|j| [m[0][j], m[1][j], m[2][j]]);
        let apart = |h: &Horn| {
            h.axes[2].iter().zip(axes[2]).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let place = match horns.iter().position(|h| apart(h) < SAME) {
            Some(place) => place,
            None => {
                horns.push(Horn { axes, members: Vec::new() });
                horns.len() - 1
            }
        };
        let first = horns[place].axes;
        // x̂ = cos χ x̂₀ + sin χ ŷ₀.
        let (cos, sin) = (dot(axes[0], first[0]), dot(axes[0], first[1]));
        let norm2 = cos * cos + sin * sin;
        horns[place].members.push(Member {
            detector: index,
            weight: detector.weight,
            cos2: (cos * cos - sin * sin) / norm2,
            sin2: 2.0 * cos * sin / norm2,
        });
    }
    horns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn angles_and_quaternions_say_the_same() {
        let angles = Placement::Angles { along_deg: 3.0, across_deg: -7.0, polarisation_deg: 31.0 };
        let quaternion = Placement::Quaternion(angles.quaternion());
        let (a, b) = (angles.rotation().matrix(), quaternion.rotation().matrix());
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((a - b).abs() < 1e-15);
        }
        // Must fail: the conjugate is the inverse rotation.
        let [x, y, z, w] = angles.quaternion();
        let inverse = Placement::Quaternion([-x, -y, -z, w]).rotation().matrix();
        assert!((inverse[0][2] - b[0][2]).abs() > 0.05);
    }

    #[test]
    fn detectors_are_grouped_by_line_of_sight() {
        let paper = horns(&Config::campeti2025().detectors);
        assert_eq!(paper.len(), 1);
        let [w, c2, s2, c4, s4] = paper[0].weights();
        assert_eq!(w, 4.0);
        // Two orthogonal pairs at 45°: M is diagonal.
        assert!([c2, s2, c4, s4].iter().all(|x| x.abs() < 1e-15));
        let planck = horns(&Config::preset("planck").unwrap().detectors);
        assert_eq!(planck.len(), 2);
        assert_eq!(planck[1].members[1].detector, 3);
        assert!((planck[1].members[1].cos2 + 1.0).abs() < 1e-15);
    }
}
