//! Makers of tables, one a pixelisation.

pub mod sphere;
