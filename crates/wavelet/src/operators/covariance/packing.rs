//! How a block of pixels fills registers, so that no lane of one is idle.

use skyscat_autodiff::Field;
use skyscat_num::{Real, widest};

/// Packs maps and pixels: of ten maps, eight share registers of eight lanes, and the
/// values of the other two at four pixels fill one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    /// Maps, as padded in fields.
    pub(super) lanes: usize,
    /// Maps.
    maps: usize,
    /// Lanes of a register.
    pub(super) width: usize,
}

/// Maps that share registers, and those registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// First map.
    pub(super) first: usize,
    /// How many, or a little more: a power of two that divides a register.
    pub(super) maps: usize,
    /// First register of a block.
    pub(super) register: usize,
    /// Registers of a block; the last may have lanes to spare.
    pub(super) registers: usize,
}

impl Packing {
    pub(super) fn new<T: Real>(lanes: usize, maps: usize) -> Self {
        Self { lanes, maps, width: widest::<T>() }
    }

    /// That of a field.
    pub(super) fn of<T: Real>(field: &Field<'_, T>) -> Self {
        Self::new::<T>(field.lanes, field.maps)
    }

    /// Pixels of a block: their fields stay in the cache while they are paired, and those
    /// of two maps fill four registers.
    pub(super) fn block(self) -> usize {
        (2 * self.width).max(16)
    }

    /// The chunks of a block of so many pixels.
    #[inline(always)]
    pub(super) fn chunks(self, pixels: usize) -> impl Iterator<Item = Chunk> {
        let Self { lanes, maps: all, width } = self;
        let (mut first, mut register) = (0, 0);
        std::iter::from_fn(move || {
            let left = lanes - first;
            (left > 0).then(|| {
                let lanes = width.min(1 << left.ilog2());
                // Of the last chunk no more lanes than its maps need.
                let needed = all.saturating_sub(first).max(1).next_power_of_two();
                let maps = if lanes < left { lanes } else { needed.min(lanes) };
                let registers = (pixels * maps).div_ceil(width);
                let chunk = Chunk { first, maps, register, registers };
                first += lanes;
                register += registers;
                chunk
            })
        })
    }

    /// How many chunks there are.
    pub(super) fn count(self) -> usize {
        self.chunks(1).count()
    }

    /// Registers that a value of all maps takes at so many pixels.
    #[inline(always)]
    pub(super) fn registers(self, pixels: usize) -> usize {
        self.chunks(pixels).map(|c| c.registers).sum()
    }

    /// Whether registers of a block of so many pixels have lanes of no pixel.
    #[inline(always)]
    pub(super) fn has_idle_lanes(self, pixels: usize) -> bool {
        self.chunks(pixels).any(|c| c.registers * self.width > pixels * c.maps)
    }

    /// Where the maps of a chunk stand at a pixel: register, and first lane of it.
    #[inline(always)]
    pub(super) fn place(self, chunk: Chunk, pixel: usize) -> (usize, usize) {
        let at = pixel * chunk.maps;
        (chunk.register + at / self.width, at % self.width)
    }
}

/// Runs an expression with the number of maps of a chunk as a constant.
macro_rules! with_maps {
    ($maps:expr, $constant:ident => $body:expr) => {
        match $maps {
            1 => {
                const $constant: usize = 1;
                $body
            }
            2 => {
                const $constant: usize = 2;
                $body
            }
            4 => {
                const $constant: usize = 4;
                $body
            }
            8 => {
                const $constant: usize = 8;
                $body
            }
            16 => {
                const $constant: usize = 16;
                $body
            }
            maps => unreachable!("{maps} maps in a register"),
        }
    };
}
pub(super) use with_maps;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_of_every_pixel_has_a_lane_of_its_own() {
        let cases = [
            (10, 10, 8, 16),
            (12, 12, 16, 16),
            (12, 10, 16, 16),
            (12, 9, 16, 8),
            (16, 13, 16, 16),
            (1, 1, 8, 5),
            (34, 34, 16, 7),
            (6, 6, 1, 3),
            (12, 10, 1, 3),
        ];
        for (lanes, maps, width, pixels) in cases {
            let packing = Packing { lanes, maps, width };
            let mut taken = vec![false; packing.registers(pixels) * width];
            for chunk in packing.chunks(pixels) {
                for pixel in 0..pixels {
                    let (register, lane) = packing.place(chunk, pixel);
                    assert!(lane + chunk.maps <= width);
                    for map in 0..chunk.maps {
                        let lane = &mut taken[register * width + lane + map];
                        assert!(!std::mem::replace(lane, true), "{lanes} lanes");
                    }
                }
            }
            assert!(packing.chunks(pixels).all(|c| c.first + c.maps <= lanes));
            let packed: usize = packing.chunks(pixels).map(|c| c.maps).sum();
            assert!((maps..=lanes).contains(&packed));
            assert_eq!(taken.iter().filter(|t| **t).count(), packed * pixels);
        }
    }

    #[test]
    fn ten_maps_leave_no_lane_idle() {
        let packing = Packing { lanes: 10, maps: 10, width: 8 };
        assert_eq!(packing.registers(16) * 8, 160);
        let chunks: Vec<Chunk> = packing.chunks(16).collect();
        let chunk = |first, maps, register, registers| Chunk { first, maps, register, registers };
        assert_eq!(chunks, [chunk(0, 8, 0, 16), chunk(8, 2, 16, 4)]);
        let padded = Packing { lanes: 12, maps: 10, width: 16 };
        let chunks: Vec<Chunk> = padded.chunks(16).collect();
        assert_eq!(chunks, [chunk(0, 8, 0, 8), chunk(8, 2, 8, 2)]);
    }
}
