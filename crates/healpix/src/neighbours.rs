//! The eight neighbours of a pixel, by gluing the twelve faces together.

use crate::faces::{FacePixel, gather};
use crate::{Nside, Ordering};

/// Steps (x, y) to the neighbours: SW, W, NW, N, NE, E, SE, S.
const STEPS: [(isize, isize); 8] =
    [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)];

/// Neighbours of one pixel: SW, W, NW, N, NE, E, SE, S; −1 where there is none.
///
/// # Panics
/// If `pix` is not below `nside.npix()`.
pub fn neighbours_of(nside: Nside, ordering: Ordering, pix: usize) -> [i32; 8] {
    let at = FacePixel::from_index(nside, ordering, pix);
    let (n, x, y) = (nside.get() as isize, at.x as isize, at.y as isize);
    STEPS.map(|(dx, dy)| {
        glued(n, at.face, x + dx, y + dy).map_or(-1, |p| p.index(nside, ordering) as i32)
    })
}

/// Neighbours of all pixels: SW, W, NW, N, NE, E, SE, S; −1 where there is none.
///
/// Shape `[n_pixels][8]`. From nside 2 on, 24 pixels have seven neighbours.
/// Each face is padded by one pixel from the faces around it, and the table is
/// eight shifted reads of the padded face.
///
/// ```
/// use skyscat_healpix::{Nside, Ordering, neighbours};
/// let table = neighbours(Nside::new(2)?, Ordering::Ring);
/// assert_eq!(table[0], [4, 11, 3, 2, 1, 6, 5, 13]);
/// assert_eq!(table.iter().filter(|row| row.contains(&-1)).count(), 24);
/// # Ok::<(), skyscat_healpix::HealpixError>(())
/// ```
pub fn neighbours(nside: Nside, ordering: Ordering) -> Vec<[i32; 8]> {
    let n = nside.get();
    let width = n + 2;
    let shifts = STEPS.map(|(dx, dy)| dy * width as isize + dx);
    let mut padded = vec![-1i32; width * width];
    let around =
        |padded: &[i32], at: usize| shifts.map(|shift| padded[at.wrapping_add_signed(shift)]);
    match ordering {
        // Faces follow one another, and so do the pixels of each.
        Ordering::Nest => {
            let mut table = Vec::with_capacity(nside.npix());
            for face in 0..12 {
                fill_padded(nside, ordering, face, &mut padded);
                table.extend((0..n * n).map(|pix| {
                    let (x, y) = (gather(pix), gather(pix >> 1));
                    around(&padded, (y + 1) * width + x + 1)
                }));
            }
            table
        }
        Ordering::Ring => {
            let mut table = vec![[0; 8]; nside.npix()];
            for face in 0..12 {
                fill_padded(nside, ordering, face, &mut padded);
                for y in 1..=n {
                    for at in y * width + 1..=y * width + n {
                        table[padded[at] as usize] = around(&padded, at);
                    }
                }
            }
            table
        }
    }
}

/// Indices of a face and of the pixels around it, row by row in y.
fn fill_padded(nside: Nside, ordering: Ordering, face: usize, padded: &mut [i32]) {
    let n = nside.get();
    let width = n + 2;
    for y in 0..n {
        let row = &mut padded[(y + 1) * width + 1..][..n];
        for (x, entry) in row.iter_mut().enumerate() {
            *entry = FacePixel { face, x, y }.index(nside, ordering) as i32;
        }
    }
    let mut border = |x: usize, y: usize| {
        padded[y * width + x] = glued(n as isize, face, x as isize - 1, y as isize - 1)
            .map_or(-1, |p| p.index(nside, ordering) as i32);
    };
    for k in 0..width {
        border(k, 0);
        border(k, n + 1);
        border(0, k);
        border(n + 1, k);
    }
}

/// The pixel at (x, y) of a face, x and y in −1..=n, or `None` at a missing corner.
fn glued(n: isize, face: usize, x: isize, y: isize) -> Option<FacePixel> {
    let m = n - 1;
    let out = |v: isize| if v < 0 { -1 } else { (v > m) as isize };
    let c = face % 4;
    let (next, across, before) = ((c + 1) % 4, (c + 2) % 4, (c + 3) % 4);
    let (x, y, face) = match (face / 4, out(x), out(y)) {
        (_, 0, 0) => (x, y, face),
        (0, 1, 0) => (y, m, next),
        (0, 0, 1) => (m, x, before),
        (0, 1, 1) => (m, m, across),
        (0, -1, 0) => (m, y, 4 + c),
        (0, 0, -1) => (x, m, 4 + next),
        (0, -1, -1) => (m, m, 8 + c),
        (1, 1, 0) => (0, y, c),
        (1, 0, 1) => (x, 0, before),
        (1, -1, 0) => (m, y, 8 + before),
        (1, 0, -1) => (x, m, 8 + c),
        (1, 1, -1) => (0, m, 4 + next),
        (1, -1, 1) => (m, 0, 4 + before),
        (2, 1, 0) => (0, y, 4 + next),
        (2, 0, 1) => (x, 0, 4 + c),
        (2, -1, 0) => (y, 0, 8 + before),
        (2, 0, -1) => (0, x, 8 + next),
        (2, -1, -1) => (0, 0, 8 + across),
        (2, 1, 1) => (0, 0, c),
        _ => return None,
    };
    Some(FacePixel { face, x: x as usize, y: y as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhood_is_mutual() {
        let nside = Nside::new(8).unwrap();
        let table = neighbours(nside, Ordering::Nest);
        for (pix, row) in table.iter().enumerate() {
            assert_eq!(*row, neighbours_of(nside, Ordering::Nest, pix));
            for &other in row.iter().filter(|&&p| p >= 0) {
                assert!(table[other as usize].contains(&(pix as i32)));
            }
        }
    }
}
