//! Colour maps as a few control points.

/// A colour, red, green, blue from 0 to 255.
pub type Rgb = [u8; 3];

/// How numbers become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colormap {
    /// Blue, parchment, red: in the manner of the Planck collaboration's maps.
    Planck,
    /// Dark violet to yellow, even in lightness.
    Viridis,
    /// Red (low) over white to blue (high), as ColorBrewer's.
    RdBu,
}

/// Blue to dark red over parchment.
const PLANCK: [Rgb; 7] = [
    [0, 0, 255],
    [0, 112, 255],
    [0, 221, 255],
    [255, 237, 217],
    [255, 180, 0],
    [255, 75, 0],
    [100, 0, 0],
];

const VIRIDIS: [Rgb; 10] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [110, 206, 88],
    [181, 222, 43],
    [253, 231, 37],
];

const RDBU: [Rgb; 11] = [
    [103, 0, 31],
    [178, 24, 43],
    [214, 96, 77],
    [244, 165, 130],
    [253, 219, 199],
    [247, 247, 247],
    [209, 229, 240],
    [146, 197, 222],
    [67, 147, 195],
    [33, 102, 172],
    [5, 48, 97],
];

impl Colormap {
    /// The colour at `t`, which is clamped to 0 to 1.
    ///
    /// ```
    /// use skyscat_plot::Colormap;
    /// assert_eq!(Colormap::Planck.at(0.5), [255, 237, 217]);
    /// assert_eq!(Colormap::Viridis.at(-3.0), [68, 1, 84]);
    /// ```
    pub fn at(self, t: f64) -> Rgb {
        let points: &[Rgb] = match self {
            Self::Planck => &PLANCK,
            Self::Viridis => &VIRIDIS,
            Self::RdBu => &RDBU,
        };
        let x = t.clamp(0.0, 1.0) * (points.len() - 1) as f64;
        let i = (x as usize).min(points.len() - 2);
        let f = x - i as f64;
        std::array::from_fn(|c| {
            let (a, b) = (f64::from(points[i][c]), f64::from(points[i + 1][c]));
            (a + f * (b - a)).round() as u8
        })
    }
}
