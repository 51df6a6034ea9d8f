//! Words that flags and configuration files accept.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use skyscat::healpix::Ordering;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Declares an enum of words, the same on the command line and in TOML.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
        pub(crate) enum $name {
            $($(#[$doc])* #[value(name = $word)] #[serde(rename = $word)] $variant),+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

words! {
    /// Which definition of the scattering covariances.
    DefinitionWord {
        /// Campeti et al. (2025), as written
        Paper = "paper",
        /// What HealpixML 1.0.0 computes
        HealpixMl = "healpixml",
    }
}

words! {
    /// What coefficients are divided by.
    NormaliseWord {
        /// The map's own power S2
        Own = "own",
        /// Nothing
        None = "none",
    }
}

words! {
    /// What a batch is moved to.
    TargetWord {
        /// average below 50 inputs, single from 50 on
        Auto = "auto",
        /// The mean statistics of all inputs
        Average = "average",
        /// The statistics of one input for each batch
        Single = "single",
    }
}

words! {
    /// How maps are brought to zero mean and unit variance.
    StandardiseWord {
        /// global for 1 input, smoothed below 50, per-pixel from 50 on
        Auto = "auto",
        /// Mean and standard deviation of each pixel over the inputs
        PerPixel = "per-pixel",
        /// As per-pixel, the log-variance map smoothed by a Gaussian
        Smoothed = "smoothed",
        /// One mean and standard deviation a channel
        Global = "global",
    }
}

words! {
    /// What the residuals of coefficients are divided by.
    SigmaWord {
        /// The root mean square of the target's block: S1, S2, S3 or S4
        Blocks = "blocks",
        /// The standard deviation of the coefficient over the inputs
        Inputs = "inputs",
        /// 1
        None = "none",
    }
}

words! {
    /// Which loss on the spectra.
    SpectrumLossWord {
        /// Equation 6 of the paper relative to its value for the inputs, and the level
        Ratio = "ratio",
        /// Equation 6 of the paper as written
        Equation6 = "equation6",
        /// The squared difference of sums over the batch, as CMBSCAT 0.0.3
        Sum = "sum",
    }
}

words! {
    /// Where batches start.
    StartWord {
        /// White noise with the target's standard deviation in each channel
        Noise = "noise",
        /// Isotropic Gaussian fields with the mean spectra of the inputs
        Gaussian = "gaussian",
    }
}

words! {
    /// What the processes of one mpirun share out.
    MpiWord {
        /// The batches of the job; the maps have the bits of one process
        Batches = "batches",
        /// The maps of each batch; the same bits for any number of processes
        Maps = "maps",
    }
}

words! {
    /// Width of the numbers, in the descent and in the output.
    PrecisionWord {
        /// 64-bit floats
        F64 = "f64",
        /// 32-bit floats: half the memory
        F32 = "f32",
    }
}

words! {
    /// Colours of values.
    ColormapWord {
        /// Blue over white to red, of the Planck maps
        Planck = "planck",
        /// Dark blue to yellow, even in lightness
        Viridis = "viridis",
        /// Red over white to blue
        RdBu = "RdBu",
    }
}

words! {
    /// How the sphere is laid on the page.
    ProjectionWord {
        /// The whole sky in an ellipse
        Mollweide = "mollweide",
        /// A square around a direction
        Gnomonic = "gnomonic",
    }
}

words! {
    /// Pixel ordering of files that state none.
    OrderingWord {
        /// Along rings, north to south
        Ring = "ring",
        /// Nested, face by face
        Nest = "nest",
    }
}

impl From<OrderingWord> for Ordering {
    fn from(word: OrderingWord) -> Self {
        match word {
            OrderingWord::Ring => Self::Ring,
            OrderingWord::Nest => Self::Nest,
        }
    }
}

/// Where orientations are counted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) enum OrientationWord {
    /// The frame of the pixels.
    None,
    /// The dominant orientation of each pixel over the inputs.
    FromInput,
    /// Phases saved earlier.
    File(PathBuf),
}

impl From<String> for OrientationWord {
    fn from(text: String) -> Self {
        match text.as_str() {
            "none" => Self::None,
            "from-input" => Self::FromInput,
            _ => Self::File(PathBuf::from(text)),
        }
    }
}

impl From<OrientationWord> for String {
    fn from(word: OrientationWord) -> Self {
        match word {
            OrientationWord::None => "none".to_owned(),
            OrientationWord::FromInput => "from-input".to_owned(),
            OrientationWord::File(path) => path.display().to_string(),
        }
    }
}

impl FromStr for OrientationWord {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

/// A part of a job: the number-th of so many, from 1 on, written `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Shard {
    pub(crate) number: usize,
    pub(crate) of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(k, n)| (k.parse(), n.parse()));
        match parts {
            Some((Ok(number), Ok(of))) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("{text} is no part of a job: allowed is k/n, 1/n to n/n")),
        }
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}
