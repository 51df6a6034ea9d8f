//! Conversions between batch slices and ndarray arrays, and single-map transforms.

use crate::{HarmonicError, Plan, Sample};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use num_complex::Complex;

impl<T: Sample> Plan<T> {
    /// Batch slice from maps `(n_maps, n_components, n_pixels)`.
    ///
    /// # Errors
    /// [`HarmonicError::Shape`] unless components and pixels are the plan's.
    pub fn maps_to_batch(&self, maps: ArrayView3<'_, T>) -> Result<Vec<T>, HarmonicError> {
        let batch = maps.len_of(Axis(0));
        check(
            "map array",
            maps.shape(),
            [batch, self.components(), self.config().nside.npix()],
        )?;
        Ok(maps.permuted_axes([2, 1, 0]).iter().copied().collect())
    }

    /// Maps `(n_maps, n_components, n_pixels)` from a batch slice.
    ///
    /// # Panics
    /// If the length is not [`Plan::map_len`] of some batch.
    pub fn batch_to_maps(&self, batch: &[T]) -> Array3<T> {
        let maps = batch.len() / self.map_len(1);
        let shape = (self.config().nside.npix(), self.components(), maps);
        let view = ArrayView3::from_shape(shape, batch).expect("a whole number of maps");
        view.permuted_axes([2, 1, 0])
            .as_standard_layout()
            .into_owned()
    }

    /// Batch slice from coefficients `(n_maps, n_components, n_modes)`.
    ///
    /// # Errors
    /// [`HarmonicError::Shape`] unless components and modes are the plan's.
    pub fn alm_to_batch(&self, alm: ArrayView3<'_, Complex<T>>) -> Result<Vec<T>, HarmonicError> {
        let maps = alm.len_of(Axis(0));
        check(
            "coefficient array",
            alm.shape(),
            [maps, self.components(), self.modes().len()],
        )?;
        let mut out = Vec::with_capacity(self.alm_len(maps));
        for rows in alm.axis_iter(Axis(2)) {
            for values in rows.axis_iter(Axis(1)) {
                out.extend(values.iter().map(|a| a.re));
                out.extend(values.iter().map(|a| a.im));
            }
        }
        Ok(out)
    }

    /// Coefficients `(n_maps, n_components, n_modes)` from a batch slice.
    ///
    /// # Panics
    /// If the length is not [`Plan::alm_len`] of some batch.
    pub fn batch_to_alm(&self, batch: &[T]) -> Array3<Complex<T>> {
        let maps = batch.len() / self.alm_len(1);
        assert_eq!(
            batch.len(),
            self.alm_len(maps),
            "coefficients of whole maps"
        );
        let shape = (maps, self.components(), self.modes().len());
        Array3::from_shape_fn(shape, |(map, component, mode)| {
            let at = (mode * self.components() + component) * 2 * maps + map;
            Complex::new(batch[at], batch[at + maps])
        })
    }

    /// One map `(n_components, n_pixels)` from coefficients `(n_components, n_modes)`.
    ///
    /// Allocates its scratch; for many maps use [`Plan::synthesis`].
    ///
    /// # Errors
    /// [`HarmonicError::Shape`] for coefficients of another shape.
    pub fn synthesis_of(
        &self,
        alm: ArrayView2<'_, Complex<T>>,
    ) -> Result<Array2<T>, HarmonicError> {
        let alm = self.alm_to_batch(alm.insert_axis(Axis(0)))?;
        let mut map = vec![T::zero(); self.map_len(1)];
        self.synthesis(&alm, &mut map, &mut self.scratch(1));
        Ok(self.batch_to_maps(&map).index_axis_move(Axis(0), 0))
    }

    /// Yᵀ of one map, `(n_components, n_pixels)` → `(n_components, n_modes)`.
    ///
    /// # Errors
    /// [`HarmonicError::Shape`] for a map of another shape.
    pub fn adjoint_synthesis_of(
        &self,
        map: ArrayView2<'_, T>,
    ) -> Result<Array2<Complex<T>>, HarmonicError> {
        let map = self.maps_to_batch(map.insert_axis(Axis(0)))?;
        let mut alm = vec![T::zero(); self.alm_len(1)];
        self.adjoint_synthesis(&map, &mut alm, &mut self.scratch(1));
        Ok(self.batch_to_alm(&alm).index_axis_move(Axis(0), 0))
    }

    /// Analysis of one map, `(n_components, n_pixels)` → `(n_components, n_modes)`.
    ///
    /// # Errors
    /// [`HarmonicError::Shape`] for a map of another shape.
    pub fn analysis_of(
        &self,
        map: ArrayView2<'_, T>,
        iterations: usize,
    ) -> Result<Array2<Complex<T>>, HarmonicError> {
        let map = self.maps_to_batch(map.insert_axis(Axis(0)))?;
        let mut alm = vec![T::zero(); self.alm_len(1)];
        self.analysis(&map, &mut alm, iterations, &mut self.scratch(1));
        Ok(self.batch_to_alm(&alm).index_axis_move(Axis(0), 0))
    }
}

fn check(what: &'static str, given: &[usize], allowed: [usize; 3]) -> Result<(), HarmonicError> {
    if given == allowed {
        return Ok(());
    }
    Err(HarmonicError::Shape {
        what,
        given: given.to_vec(),
        allowed: allowed.to_vec(),
    })
}
