//! Which lane of which part is which map.

/// Lanes of a group are padded to this many maps: sixteen bytes.
pub(super) const PADDING: usize = 4;

/// Maps of a program: groups of equal size, each with a loss of its own, in parts whose
/// buffers fit on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    /// Maps of a group.
    pub(super) maps: usize,
    /// The same, padded.
    pub(super) stride: usize,
    pub(super) groups: usize,
    /// Parts of as many lanes: one of all groups, or some of each.
    pub(super) parts: usize,
}

/// What of a group lies in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) part: usize,
    /// Its first lane in the part.
    pub(super) lane: usize,
    /// Its lanes.
    pub(super) lanes: usize,
    /// Its first map in the group.
    pub(super) first: usize,
    /// Its maps.
    pub(super) maps: usize,
}

impl Lanes {
    /// All maps in one part.
    pub(super) fn together(maps: usize, groups: usize) -> Self {
        Self { maps, stride: maps.next_multiple_of(PADDING), groups, parts: 1 }
    }

    /// Every group in parts of at most `most` lanes, which is a multiple of the padding.
    pub(super) fn cut(maps: usize, groups: usize, most: usize) -> Self {
        let width = maps.div_ceil(maps.div_ceil(most)).next_multiple_of(PADDING);
        let parts = maps.div_ceil(width);
        Self { maps, stride: width * parts, groups, parts: parts * groups }
    }

    /// Lanes of all parts.
    pub(super) fn all(self) -> usize {
        self.stride * self.groups
    }

    /// Lanes of a part.
    pub(super) fn width(self) -> usize {
        self.all() / self.parts
    }

    /// Where the maps of a group are, in their order.
    pub(super) fn shares(self, group: usize) -> impl Iterator<Item = Share> {
        let (width, lanes) = (self.width(), self.stride.min(self.width()));
        (0..self.stride / lanes).map(move |i| {
            let (lane, first) = (group * self.stride + i * lanes, i * lanes);
            let maps = lanes.min(self.maps - first);
            Share { part: lane / width, lane: lane % width, lanes, first, maps }
        })
    }

    /// Where the maps of a group are in a row of numbers `[part][row][lane]`.
    pub(super) fn places(
        self,
        (rows, row): (usize, usize),
        group: usize,
    ) -> impl Iterator<Item = usize> {
        self.shares(group).flat_map(move |share| {
            let start = (share.part * rows + row) * self.width() + share.lane;
            start..start + share.maps
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every map has a lane of its own, and parts have no more lanes than allowed.
    #[test]
    fn every_map_has_its_lane() {
        for maps in 1..40 {
            for groups in 1..4 {
                let cut = (1..11).map(|most| Lanes::cut(maps, groups, PADDING * most));
                for (most, lanes) in cut.enumerate() {
                    assert!(lanes.width() <= PADDING * (most + 1), "{lanes:?}");
                    assert_eq!(lanes.parts % groups, 0);
                    check(lanes);
                }
                check(Lanes::together(maps, groups));
            }
        }
        let lanes = Lanes::cut(10, 2, 8);
        let first = Share { part: 2, lane: 0, lanes: 8, first: 0, maps: 8 };
        let second = Share { part: 3, first: 8, maps: 2, ..first };
        assert_eq!(lanes.shares(1).collect::<Vec<_>>(), [first, second]);
    }

    fn check(lanes: Lanes) {
        assert_eq!(lanes.width() * lanes.parts, lanes.all());
        assert_eq!(lanes.width() % PADDING, 0);
        let rows = 3;
        let row = |row| (0..lanes.groups).flat_map(move |g| lanes.places((rows, row), g));
        let mut places: Vec<usize> = (0..rows).flat_map(row).collect();
        assert!(places.iter().all(|&at| at < rows * lanes.all()));
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), rows * lanes.groups * lanes.maps, "{lanes:?}");
    }
}
