//! Prediction by boosted trees without the library that grew them: trees are saved as plain tensors
//! and checked when they are read, so a damaged file can cause neither a panic nor an endless loop.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use foretaste_settings::Setting;
use forust_ml::GradientBooster;

use crate::Result;
use crate::features::FEATURES;

// Names that start with `foretaste_nn::TABLE`.
const NODES: &str = "table.trees.nodes";
const VALUES: &str = "table.trees.values";
const ROOTS: &str = "table.trees.roots";
const BASE: &str = "table.trees.base";

/// What stands for the feature of a leaf.
const LEAF: u32 = u32::MAX;

/// Regression trees whose sum is the log-odds of a click: what boosting grew, in a form that is
/// saved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forest {
    /// What the sum starts from.
    base: f64,
    /// The first node of each tree.
    roots: Vec<u32>,
    /// Of all trees. A node's children stand behind it.
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// The feature that is asked, or [`LEAF`].
    feature: u32,
    /// Where a row goes whose feature is below [`value`](Self::value), and where any other.
    children: [u32; 2],
    /// Where the split is, or what the leaf adds.
    value: f64,
}

impl Forest {
    /// The trees by which `booster` predicts, for features that are numbers.
    pub fn of(booster: &GradientBooster) -> Self {
        let trees = booster.prediction_iteration.unwrap_or(booster.trees.len());
        let (mut roots, mut nodes) = (Vec::with_capacity(trees), Vec::new());
        for tree in &booster.trees[..trees] {
            let root = nodes.len() as u32;
            roots.push(root);
            nodes.extend(tree.nodes.iter().map(|node| match node.is_leaf {
                true => {
                    let value = f64::from(node.weight_value);
                    Node { feature: LEAF, children: [0; 2], value }
                }
                false => Node {
                    feature: node.split_feature as u32,
                    children: [node.left_child, node.right_child].map(|child| root + child as u32),
                    value: node.split_value,
                },
            }));
        }
        Self { base: booster.base_score, roots, nodes }
    }

    /// The log-odds of a row.
    pub fn predict(&self, row: &[f64; FEATURES]) -> f64 {
        self.roots.iter().fold(self.base, |sum, &root| sum + self.leaf(root, row))
    }

    fn leaf(&self, root: u32, row: &[f64; FEATURES]) -> f64 {
        let mut node = &self.nodes[root as usize];
        while node.feature != LEAF {
            let below = row[node.feature as usize] < node.value;
            node = &self.nodes[node.children[usize::from(!below)] as usize];
        }
        node.value
    }

    /// It as tensors, to be saved: `nodes [nodes, 3]` (feature, left, right), `values [nodes]`,
    /// `roots [trees]`, `base [1]`.
    pub fn tables(&self) -> Result<BTreeMap<String, Tensor>> {
        let cpu = &Device::Cpu;
        let of_node = |node: &Node| [node.feature, node.children[0], node.children[1]];
        let nodes: Vec<u32> = self.nodes.iter().flat_map(of_node).collect();
        let values: Vec<f64> = self.nodes.iter().map(|node| node.value).collect();
        let mut tables = BTreeMap::from([(BASE.to_owned(), Tensor::new(&[self.base], cpu)?)]);
        if !self.roots.is_empty() {
            let nodes = Tensor::from_vec(nodes, (self.nodes.len(), 3), cpu)?;
            tables.insert(NODES.to_owned(), nodes);
            tables.insert(VALUES.to_owned(), Tensor::new(values, cpu)?);
            tables.insert(ROOTS.to_owned(), Tensor::new(&self.roots[..], cpu)?);
        }
        Ok(tables)
    }

    /// What [`tables`](Self::tables) made, of trees over so many features.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a tensor is missing or its content is none of
    /// trees.
    pub fn from_tables(weights: &BTreeMap<String, Tensor>, features: usize) -> Result<Self> {
        let fail = |problem: String| Err(Setting::new("trees", problem).into());
        let table = |name: &'static str, dtype: DType, rank: usize| {
            let found = weights.get(name);
            let fits = |of: &&Tensor| of.dtype() == dtype && of.rank() == rank;
            found.filter(fits).ok_or_else(|| {
                let found = found.map(|of| (of.dims(), of.dtype()));
                Setting::new(name, format!("{found:?}, expected rank {rank} of {dtype:?}"))
            })
        };
        let base = match table(BASE, DType::F64, 1)?.to_vec1::<f64>()?[..] {
            [base] if base.is_finite() => base,
            ref other => return fail(format!("the sum starts from {other:?}, expected a number")),
        };
        if !weights.contains_key(ROOTS) {
            return Ok(Self { base, roots: Vec::new(), nodes: Vec::new() });
        }
        let roots: Vec<u32> = table(ROOTS, DType::U32, 1)?.to_vec1()?;
        let parts: Vec<Vec<u32>> = table(NODES, DType::U32, 2)?.to_vec2()?;
        let values: Vec<f64> = table(VALUES, DType::F64, 1)?.to_vec1()?;
        let count = parts.len();
        if values.len() != count || roots.iter().any(|&root| root as usize >= count) {
            return fail(format!("{count} nodes, {} values, roots {roots:?}", values.len()));
        }
        let mut nodes = Vec::with_capacity(count);
        for ((at, parts), value) in parts.iter().enumerate().zip(values) {
            let &[feature, left, right] = &parts[..] else {
                return fail(format!("node {at} has {} numbers, expected 3", parts.len()));
            };
            // A child behind its parent: every way ends.
            let behind = |child: u32| child as usize > at && (child as usize) < count;
            let splits = (feature as usize) < features && behind(left) && behind(right);
            if !(feature == LEAF || splits) || !value.is_finite() {
                return fail(format!("node {at} is {parts:?} at {value}"));
            }
            nodes.push(Node { feature, children: [left, right], value });
        }
        Ok(Self { base, roots, nodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest() -> Forest {
        let leaf = |value| Node { feature: LEAF, children: [0; 2], value };
        let split = |feature, left, value| Node { feature, children: [left, left + 1], value };
        let nodes = vec![
            split(2, 1, 0.5),
            leaf(-1.0),
            split(0, 3, 4.0),
            leaf(0.25),
            leaf(2.0),
            leaf(0.125),
        ];
        Forest { base: 0.5, roots: vec![0, 5], nodes }
    }

    #[test]
    fn a_row_goes_left_below_the_split_and_right_from_it_on() {
        for (first, third, expected) in
            [(9.0, 0.4, -1.0), (3.9, 0.5, 0.25), (4.0, 0.5, 2.0), (4.1, 7.0, 2.0)]
        {
            let mut row = [0.0; FEATURES];
            (row[0], row[2]) = (first, third);
            assert_eq!(forest().predict(&row), 0.5 + expected + 0.125);
        }
    }

    #[test]
    fn saved_trees_are_the_same_and_what_is_no_tree_is_refused() {
        let tables = forest().tables().unwrap();
        assert_eq!(Forest::from_tables(&tables, 3).unwrap(), forest());
        assert!(Forest::from_tables(&tables, 2).is_err(), "a feature that is not there");
        let nodes = tables[NODES].to_vec2::<u32>().unwrap();
        for (at, part, value) in [(0, 1, 0), (2, 2, 2), (2, 1, 6), (0, 0, 3)] {
            let (mut nodes, mut forged) = (nodes.clone(), tables.clone());
            nodes[at][part] = value;
            forged.insert(NODES.to_owned(), Tensor::new(nodes, &Device::Cpu).unwrap());
            assert!(Forest::from_tables(&forged, 3).is_err(), "{at}, {part}, {value}");
        }
        for name in [NODES, VALUES, BASE] {
            let mut lacking = tables.clone();
            lacking.remove(name);
            assert!(Forest::from_tables(&lacking, 3).is_err(), "{name}");
        }
    }
}
