//! Descents side by side: each asks at its own time, and all are evaluated together.

use super::line::{Answer, Line};
use super::vector::failure;
use super::{GpuError, GpuProgram, GpuVector};
use crate::{At, Failure, Objective, TermValue};
use skyscat_gpu::Device;
use skyscat_num::Real;
use std::sync::{Arc, Condvar, Mutex};

/// One batch of a program, as the objective of a descent on the device.
///
/// An evaluation of the program runs when every seat that is still taken has asked; a
/// seat that is dropped keeps nobody waiting. So each descent must have a thread of its
/// own.
#[derive(Debug)]
pub struct Seat {
    table: Arc<Table>,
    group: usize,
    terms: Vec<TermValue>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Table {
    device: Arc<Device>,
    /// Variables of a batch.
    numbers: usize,
    round: Mutex<Round>,
    answered: Condvar,
}

#[derive(Debug)]
struct Round {
    program: GpuProgram,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    taken: bool,
    line: Option<Line>,
    asked: Option<f64>,
    answer: Option<Result<Answer, GpuError>>,
}

impl Round {
    /// Evaluates, if nobody is missing.
    fn run_if_complete(&mut self) -> bool {
        let asked = |place: &Place| !place.taken || place.asked.is_some();
        if !self.places.iter().all(asked) || self.places.iter().all(|p| p.asked.is_none()) {
            return false;
        }
        let lines: Vec<(&Line, f64)> =
            self.places.iter().filter_map(|p| p.line.as_ref().zip(p.asked)).collect();
        let groups: Vec<usize> = lines.iter().map(|(line, _)| line.group).collect();
        let answers = self.program.ask(&lines);
        for (group, answer) in groups.into_iter().zip(answers) {
            let place = &mut self.places[group];
            (place.asked, place.answer) = (None, Some(answer));
        }
        true
    }
}

impl GpuProgram {
    /// A seat for each batch of this program.
    pub fn seats(self) -> Vec<Seat> {
        let groups = self.groups();
        let place = || Place { taken: true, line: None, asked: None, answer: None };
        let terms = self.terms.clone();
        let table = Arc::new(Table {
            device: self.device.clone(),
            numbers: self.variables() / groups,
            round: Mutex::new(Round {
                program: self,
                places: (0..groups).map(|_| place()).collect(),
            }),
            answered: Condvar::new(),
        });
        let seat = |(group, terms)| Seat { table: table.clone(), group, terms, failure: None };
        terms.into_iter().enumerate().map(seat).collect()
    }
}

/// Puts variables on the device of a seat.
#[derive(Clone, Debug)]
pub struct Maker {
    device: Arc<Device>,
    numbers: usize,
}

impl Maker {
    /// A vector of these numbers.
    ///
    /// # Errors
    /// [`GpuError::Device`] if it does not fit.
    ///
    /// # Panics
    /// If they are not as many as the variables of a batch.
    pub fn vector<T: Real>(&self, numbers: &[T]) -> Result<GpuVector, GpuError> {
        assert_eq!(numbers.len(), self.numbers, "length of the variables");
        Ok(GpuVector::new(&self.device, numbers)?)
    }
}

impl Seat {
    /// Puts variables on the device, for a descent from this seat.
    pub fn maker(&self) -> Maker {
        let Table { device, numbers, .. } = &*self.table;
        Maker { device: device.clone(), numbers: *numbers }
    }

    fn ask(
        &self,
        (point, direction): (&GpuVector, &GpuVector),
        step: f64,
        (trial, gradient): (&GpuVector, &GpuVector),
    ) -> Result<Answer, GpuError> {
        let mut round = self.table.round.lock().expect("no holder panics");
        let Round { program, places } = &mut *round;
        let place = &mut places[self.group];
        let vectors = [point, direction, trial, gradient];
        if !place.line.as_ref().is_some_and(|line| line.is_of(vectors)) {
            place.line = Some(program.line(self.group, (point, direction), (trial, gradient))?);
        }
        place.asked = Some(step);
        if round.run_if_complete() {
            self.table.answered.notify_all();
        }
        let waits = |round: &mut Round| round.places[self.group].answer.is_none();
        let mut round = self.table.answered.wait_while(round, waits).expect("no holder panics");
        round.places[self.group].answer.take().expect("answered")
    }

    /// Keeps what an answer says beside value and slope.
    fn note(&mut self, answer: Result<Answer, GpuError>) -> (f64, f64) {
        match answer {
            Ok(answer) => {
                (self.terms, self.failure) = (answer.terms, None);
                (answer.value, answer.slope)
            }
            Err(error) => {
                self.failure = Some(failure(error));
                (f64::NAN, f64::NAN)
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Ok(mut round) = self.table.round.lock() else { return };
        let place = &mut round.places[self.group];
        (place.taken, place.line, place.asked) = (false, None, None);
        if round.run_if_complete() {
            self.table.answered.notify_all();
        }
    }
}

impl Objective<GpuVector> for Seat {
    fn value_and_gradient(&mut self, x: &GpuVector, gradient: &mut GpuVector) -> f64 {
        let zeros = || GpuVector::zeros(&self.table.device, x.len());
        let answer = zeros().and_then(|a| Ok((a, zeros()?))).map_err(GpuError::from);
        let answer = answer
            .and_then(|(direction, trial)| self.ask((x, &direction), 0.0, (&trial, gradient)));
        self.note(answer).0
    }

    /// Value and slope, or NaN, and then [`Objective::failure`] says why.
    fn probe(
        &mut self,
        x: &GpuVector,
        direction: &GpuVector,
        step: f64,
        trial: At<'_, GpuVector>,
    ) -> (f64, f64) {
        let answer = self.ask((x, direction), step, (trial.x, trial.gradient));
        self.note(answer)
    }

    fn report(&self) -> &[TermValue] {
        &self.terms
    }

    fn failure(&self) -> Option<Failure> {
        self.failure.clone()
    }
}
