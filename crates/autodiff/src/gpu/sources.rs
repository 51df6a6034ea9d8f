//! What the kernels of loss terms read in one run.

use crate::Graph;
use crate::statistics::{Reading, places};
use std::collections::HashSet;

/// What one run of a term's kernel reads.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// A node that is no choice of channels.
    pub(super) node: usize,
    /// For each real coefficient: which it is among those of the term, and which among
    /// those of the node.
    pub(super) picks: Vec<[u32; 2]>,
}

/// What a term reads. No source has a coefficient twice: its gradients are added to by one
/// invocation each.
pub(super) fn sources(graph: &Graph, term: usize, reading: Reading) -> Vec<Source> {
    let (mut list, mut row) = (Vec::<(Source, HashSet<u32>)>::new(), 0);
    for input in &graph.terms[term].inputs {
        let (node, places) = places(graph, input.index(), reading);
        let places: Vec<u32> = places.map(|n| u32::try_from(n).expect("below 2³²")).collect();
        let free = |(s, taken): &(Source, HashSet<u32>)| {
            s.node == node && places.iter().all(|place| !taken.contains(place))
        };
        let at = list.iter().position(free).unwrap_or_else(|| {
            list.push((Source { node, picks: Vec::new() }, HashSet::new()));
            list.len() - 1
        });
        let (source, taken) = &mut list[at];
        for place in places {
            source.picks.push([row, place]);
            taken.insert(place);
            row += 1;
        }
    }
    list.into_iter().map(|(source, _)| source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channels, Shape, check::Functional, statistics::read};

    #[test]
    fn chosen_channels_are_read_where_they_stand_and_none_twice_in_a_run() {
        let mut graph = Graph::new();
        let whole = graph.input(Shape::complex(2, 5));
        let choose = |graph: &mut Graph, from, range| graph.apply(Channels::new(range), &[from]);
        let some = choose(&mut graph, whole, 1..4).unwrap();
        let one = choose(&mut graph, some, 2..3).unwrap();
        let other = graph.input(Shape::real(1, 2));
        graph.term(Functional(Vec::new()), &[some, other, whole, one], 1.0);
        let found = sources(&graph, 0, Reading::InPlace);
        let nodes: Vec<usize> = found.iter().map(|s| s.node).collect();
        assert_eq!(nodes, [0, 3, 0, 0], "`whole` has all that `some` has, and both have `one`");
        // Channels 1 to 3 of both rows, then channel 3, which the first has already.
        let some = [2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17];
        assert_eq!(found[0].picks, (0..).zip(some).map(|(a, b)| [a, b]).collect::<Vec<_>>());
        assert_eq!(found[1].picks, [[12, 0], [13, 1]]);
        assert_eq!(found[2].picks[..2], [[14, 0], [15, 1]]);
        assert_eq!(found[2].picks.len(), 20);
        assert_eq!(found[3].picks, [[34, 6], [35, 7], [36, 16], [37, 17]]);
        let all = |reading| read(&graph, reading).into_iter().collect::<Vec<_>>();
        assert_eq!(all(Reading::InPlace), [(0, 20), (3, 2)]);
        // Each by itself.
        assert_eq!(all(Reading::Copied), [(0, 20), (1, 12), (2, 4), (3, 2)]);
        let found = sources(&graph, 0, Reading::Copied);
        assert_eq!(found.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 3, 0, 2]);
        assert_eq!(found[3].picks, [[34, 0], [35, 1], [36, 2], [37, 3]]);
    }
}
