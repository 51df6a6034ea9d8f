//! The two loops of L-BFGS on the products of its vectors.

/// Slots of the last pairs (s, y) and the products of all vectors.
///
/// The two-loop recursion (Nocedal & Wright 2006, Algorithm 7.4) needs of its vectors
/// only their products: those of the newest s, y and gradient with all others are
/// computed after a step, the rest are known. So an iteration reads each vector twice,
/// where the loops on vectors read each four times.
///
/// Vectors are numbered: s and y of slot k are 2k and 2k + 1, the gradient is the last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gram {
    memory: usize,
    /// Slots are a ring: the oldest pair, and how many there are.
    oldest: usize,
    count: usize,
    products: Vec<f64>,
    /// Whether the gradient's products are those of the gradient here.
    pub(crate) knows_gradient: bool,
}

impl Gram {
    /// Room for so many pairs, one at least.
    pub(crate) fn new(memory: usize) -> Self {
        let memory = memory.max(1);
        let products = vec![0.0; (2 * memory + 1).pow(2)];
        Self { memory, oldest: 0, count: 0, products, knows_gradient: false }
    }

    /// Pairs that there is room for.
    #[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "a device records for each"))]
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Pairs kept.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// The gradient, the last of the vectors.
    pub(crate) fn gradient(&self) -> usize {
        2 * self.memory
    }

    pub(crate) fn product(&self, a: usize, b: usize) -> f64 {
        self.products[a * (self.gradient() + 1) + b]
    }

    pub(crate) fn set_product(&mut self, a: usize, b: usize, value: f64) {
        let width = self.gradient() + 1;
        self.products[a * width + b] = value;
        self.products[b * width + a] = value;
    }

    /// Slot of a pair by age, the oldest first.
    pub(crate) fn slot(&self, age: usize) -> usize {
        (self.oldest + age) % self.memory
    }

    /// The slots of all pairs, the oldest first.
    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.count).map(|age| self.slot(age))
    }

    /// The slot that the next pair takes; a full memory gives its oldest away.
    pub(crate) fn next_slot(&mut self) -> usize {
        if self.count == self.memory {
            self.oldest = self.slot(1);
            self.count -= 1;
        }
        self.slot(self.count)
    }

    /// Counts the pair of the next slot in, if it has curvature, ⟨s, y⟩ > ε |s| |y|: one
    /// without would spoil the metric.
    pub(crate) fn count_in(&mut self, slot: usize) {
        let (s, y) = (2 * slot, 2 * slot + 1);
        let size = self.product(s, s).sqrt() * self.product(y, y).sqrt();
        if self.product(s, y) > f64::EPSILON * size {
            self.count += 1;
        }
    }

    /// Counts a saved pair in; the gradient's product with it is not known.
    pub(crate) fn take_up(&mut self, slot: usize) {
        self.knows_gradient = false;
        self.count_in(slot);
    }

    /// 1/⟨s, y⟩ of each pair, the oldest first.
    pub(crate) fn curvatures(&self) -> Vec<f64> {
        self.slots().map(|slot| 1.0 / self.product(2 * slot, 2 * slot + 1)).collect()
    }

    /// The coefficients of −H·gradient, in the order of the vectors.
    pub(crate) fn coefficients(&self) -> Vec<f64> {
        let mut c = vec![0.0; self.gradient() + 1];
        c[self.gradient()] = -1.0;
        let along = |c: &[f64], vector: usize| -> f64 {
            let pairs = self.slots().flat_map(|k| [2 * k, 2 * k + 1]);
            pairs.chain([self.gradient()]).map(|i| c[i] * self.product(vector, i)).sum()
        };
        let mut alphas = Vec::with_capacity(self.count);
        for age in (0..self.count).rev() {
            let (s, y) = (2 * self.slot(age), 2 * self.slot(age) + 1);
            let alpha = along(&c, s) / self.product(s, y);
            c[y] -= alpha;
            alphas.push(alpha);
        }
        if self.count > 0 {
            let newest = 2 * self.slot(self.count - 1);
            let scale = self.product(newest, newest + 1) / self.product(newest + 1, newest + 1);
            c.iter_mut().for_each(|c| *c *= scale);
        }
        for (age, alpha) in alphas.into_iter().rev().enumerate() {
            let (s, y) = (2 * self.slot(age), 2 * self.slot(age) + 1);
            let beta = along(&c, y) / self.product(s, y);
            c[s] += alpha - beta;
        }
        c
    }

    /// ⟨direction, gradient⟩ of a direction with these coefficients.
    pub(crate) fn slope(&self, coefficients: &[f64]) -> f64 {
        let pairs = self.slots().flat_map(|k| [2 * k, 2 * k + 1]).chain([self.gradient()]);
        pairs.map(|i| coefficients[i] * self.product(self.gradient(), i)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// −H·gradient by the two loops on vectors, as in the book.
    fn two_loops(pairs: &[(Vec<f64>, Vec<f64>)], gradient: &[f64]) -> Vec<f64> {
        let mut q = gradient.to_vec();
        let mut alphas = Vec::new();
        for (s, y) in pairs.iter().rev() {
            let alpha = dot(s, &q) / dot(s, y);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            alphas.push(alpha);
        }
        let (s, y) = pairs.last().unwrap();
        q.iter_mut().for_each(|q| *q *= dot(s, y) / dot(y, y));
        for ((s, y), alpha) in pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(y, &q) / dot(s, y);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q.iter().map(|q| -q).collect()
    }

    #[test]
    fn products_give_the_direction_of_the_loops_on_vectors() {
        let number = |i: usize| ((i * 7919 + 13) % 101) as f64 / 50.0 - 1.0;
        let vector = |k: usize| -> Vec<f64> { (0..12).map(|i| number(31 * k + i)).collect() };
        let mut gram = Gram::new(3);
        let mut slots = vec![(Vec::new(), Vec::new()); 3];
        let mut pairs = Vec::new();
        // Five pairs through three slots: the ring turns.
        for k in 0..5 {
            let s = vector(k);
            let y: Vec<f64> = s.iter().zip(vector(k + 9)).map(|(s, v)| 3.0 * s + 0.3 * v).collect();
            let slot = gram.next_slot();
            slots[slot] = (s.clone(), y.clone());
            for (at, (other_s, other_y)) in slots.iter().enumerate() {
                for (own, v) in [(2 * slot, &s), (2 * slot + 1, &y)] {
                    gram.set_product(own, 2 * at, dot(v, other_s));
                    gram.set_product(own, 2 * at + 1, dot(v, other_y));
                }
            }
            gram.count_in(slot);
            pairs.push((s, y));
        }
        let gradient = vector(20);
        let last = gram.gradient();
        for (at, (s, y)) in slots.iter().enumerate() {
            gram.set_product(last, 2 * at, dot(&gradient, s));
            gram.set_product(last, 2 * at + 1, dot(&gradient, y));
        }
        gram.set_product(last, last, dot(&gradient, &gradient));
        let c = gram.coefficients();
        let direction: Vec<f64> = (0..12)
            .map(|i| {
                let pairs: f64 =
                    (0..3).map(|k| c[2 * k] * slots[k].0[i] + c[2 * k + 1] * slots[k].1[i]).sum();
                pairs + c[last] * gradient[i]
            })
            .collect();
        let expected = two_loops(&pairs[2..], &gradient);
        let scale = dot(&expected, &expected).sqrt();
        let far = |a: &[f64]| a.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-13 * scale);
        assert!(!far(&direction), "{direction:?} {expected:?}");
        assert!((gram.slope(&c) - dot(&expected, &gradient)).abs() < 1e-13 * scale * scale);
        // Must fail: the pairs in another order.
        let mut turned = pairs[2..].to_vec();
        turned.rotate_left(1);
        assert!(far(&two_loops(&turned, &gradient)));
    }

    #[test]
    fn a_pair_without_curvature_is_not_counted() {
        let mut gram = Gram::new(2);
        let slot = gram.next_slot();
        // Whatever the units of the gradient.
        for scale in [1e-30, 1.0, 1e30] {
            gram.clear();
            gram.set_product(2 * slot, 2 * slot, 1.0);
            gram.set_product(2 * slot + 1, 2 * slot + 1, scale * scale);
            for (sy, count) in [(-1.0, 0), (0.0, 0), (1e-17, 0), (1e-3, 1)] {
                gram.set_product(2 * slot, 2 * slot + 1, scale * sy);
                gram.count_in(slot);
                assert_eq!(gram.len(), count, "{scale:e} {sy}");
            }
        }
    }
}
