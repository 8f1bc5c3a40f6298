//! The names of the figures that experiments report.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What is better of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More of it.
    Larger,
    /// Less of it.
    Smaller,
    /// Neither: it describes the run, or is best near a value.
    Neither,
    /// It is a figure of others, and only they know.
    Unknown,
}

/// The name of a figure that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherName(&'static str);

/// A name that no metric has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{found}`; the closest are {}", quoted(.nearest))]
pub struct UnknownMetric {
    /// The name.
    pub found: String,
    /// The names that are most like it, the closest first.
    pub nearest: Vec<&'static str>,
}

/// How many names are offered for an unknown one.
const OFFERED: usize = 3;

macro_rules! metrics {
    ($($variant:ident, $name:literal, $unit:literal, $better:ident, $description:literal;)*) => {
        /// A figure that a run of an experiment reports: its name in `results.csv`, the ledger and
        /// stored outcomes.
        ///
        /// The order is that of the names, in which tables are sorted; figures of others come last.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Metric {
            $(#[doc = $description] #[serde(rename = $name)] $variant,)*
            /// A figure of others, of which no more than its name is known. It is never stored.
            #[serde(skip)]
            Other(OtherName),
        }

        impl Metric {
            /// All that are ours, by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Other(OtherName(name)) => name }
            }

            /// What it is, one sentence; `docs/metrics.md` has the formulas.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                    Self::Other(_) => "A figure of others, as they define it.",
                }
            }

            /// Its unit, and range where it has one.
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$variant => $unit,)* Self::Other(_) => "as its table has it" }
            }

            /// What is better.
            pub const fn better(self) -> Direction {
                match self {
                    $(Self::$variant => Direction::$better,)*
                    Self::Other(_) => Direction::Unknown,
                }
            }
        }
    };
}

metrics! {
    AbsFromData, "abs_from_data", "reward per session", Smaller, "Size of the term of δ₂ on the data.";
    AbsFromDelta, "abs_from_delta", "reward per session", Smaller, "Size of the term of Δ.";
    AbsFromWeights, "abs_from_weights", "reward per session", Smaller, "Size of the term of the weights.";
    BestIteration, "best_iteration", "iterations", Neither, "Iteration of the checkpoint that was kept.";
    Bias, "bias", "reward per session", Neither, "Error of the value that IRecGAN learns from: the sum of the three terms.";
    ClickRate, "click_rate", "share, 0 to 1", Larger, "Clicks per slate while a policy is trained or meets new users; of learning curves.";
    ClicksRuledOut, "clicks_ruled_out", "share, 0 to 1", Smaller, "Share of clicks on test slates to which the model gives probability 0.";
    Coverage, "coverage", "share, 0 to 1", Larger, "Mean of coverage@1 to coverage@10.";
    CoverageAt1, "coverage_1", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 1, mean over steps.";
    CoverageAt10, "coverage_10", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 10, mean over steps.";
    CoverageAt10Top, "coverage_10_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 10, mean over steps where the k likeliest items are shown.";
    CoverageAt1Top, "coverage_1_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 1, mean over steps where the k likeliest items are shown.";
    CoverageAt2, "coverage_2", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 2, mean over steps.";
    CoverageAt2Top, "coverage_2_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 2, mean over steps where the k likeliest items are shown.";
    CoverageAt3, "coverage_3", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 3, mean over steps.";
    CoverageAt3Top, "coverage_3_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 3, mean over steps where the k likeliest items are shown.";
    CoverageAt4, "coverage_4", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 4, mean over steps.";
    CoverageAt4Top, "coverage_4_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 4, mean over steps where the k likeliest items are shown.";
    CoverageAt5, "coverage_5", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 5, mean over steps.";
    CoverageAt5Top, "coverage_5_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 5, mean over steps where the k likeliest items are shown.";
    CoverageAt6, "coverage_6", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 6, mean over steps.";
    CoverageAt6Top, "coverage_6_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 6, mean over steps where the k likeliest items are shown.";
    CoverageAt7, "coverage_7", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 7, mean over steps.";
    CoverageAt7Top, "coverage_7_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 7, mean over steps where the k likeliest items are shown.";
    CoverageAt8, "coverage_8", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 8, mean over steps.";
    CoverageAt8Top, "coverage_8_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 8, mean over steps where the k likeliest items are shown.";
    CoverageAt9, "coverage_9", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 9, mean over steps.";
    CoverageAt9Top, "coverage_9_top", "share, 0 to 1", Larger, "[`coverage_at`](crate::metrics::coverage_at) 9, mean over steps where the k likeliest items are shown.";
    CoverageTop, "coverage_top", "share, 0 to 1", Larger, "Mean of coverage@1 to coverage@10 where the k likeliest items are shown.";
    Ctr, "ctr", "share, 0 to 1", Larger, "Clicks per slate shown: [`ctr`](crate::metrics::ctr).";
    Delta, "delta", "reward per step", Smaller, "Δ: size of the error of the generated reward, mean over steps.";
    Delta1, "delta_1", "share, 0 to 1", Smaller, "δ₁: what generated trajectories lack of the agent's true ones.";
    Delta2, "delta_2", "share, 0 to 1", Smaller, "δ₂: what the data lack of the agent's true trajectories.";
    Estimate, "estimate", "reward per session", Neither, "`value` + `bias`: what IRecGAN learns from.";
    FirstClickRate, "first_click_rate", "share, 0 to 1", Larger, "Click rate of the policy before any interaction.";
    FromData, "from_data", "reward per session", Neither, "The term of δ₂ on the data.";
    FromDelta, "from_delta", "reward per session", Neither, "The term of Δ.";
    FromWeights, "from_weights", "reward per session", Neither, "The term of the weights.";
    Gain, "gain", "share of the optimum's gain", Larger, "`oracle_share` once the reward of random slates is taken from both.";
    GainTop, "gain_top", "share of the optimum's gain", Larger, "`oracle_share` once the reward of random slates is taken from both, where the k likeliest items are shown.";
    GeneratorNllGivenClick, "generator_nll_given_click", "nats per choice", Smaller, "`nll_given_click` of the trained generator of the min-max.";
    GeneratorPrecisionAt1, "generator_precision@1", "share, 0 to 1", Larger, "`precision@1` of the trained generator of the min-max instead of the reward.";
    GeneratorPrecisionAt2, "generator_precision@2", "share, 0 to 1", Larger, "`precision@2` of the trained generator of the min-max instead of the reward.";
    GridPoint, "grid_point", "position", Neither, "Which settings of the grid were chosen, from 0.";
    Handicapped, "handicapped", "interactions, negative", Larger, "`interactions` times -5 for the warm start and times -1 from scratch.";
    Handicapped90, "handicapped_90", "interactions, negative", Larger, "`interactions_90`, in the same way.";
    Interactions, "interactions", "interactions", Smaller, "Interactions after which the click rate first reaches the level; all there are where it never does.";
    Interactions90, "interactions_90", "interactions", Smaller, "`interactions` to `level_90`.";
    Known, "known", "share, 0 to 1", Neither, "Share of test clicks on lists all of whose items the training sessions show.";
    LastClickRate, "last_click_rate", "share, 0 to 1", Larger, "Click rate of the policy after all interactions.";
    Level, "level", "share, 0 to 1", Neither, "The click rate that is to be reached: half of the way from random slates to greed.";
    Level90, "level_90", "share, 0 to 1", Neither, "The same, nine tenths of the way.";
    Loss, "loss", "reward", Smaller, "Fenchel-Young loss of the test users.";
    Nll, "nll", "nats per choice", Smaller, "Mean negative log-likelihood of what users did, no click among the options: [`mean_nll`](crate::metrics::mean_nll).";
    NllGivenClick, "nll_given_click", "nats per choice", Smaller, "Mean negative log-likelihood of the clicked item among those of its slate.";
    OracleShare, "oracle_share", "share of the optimum", Larger, "`reward` over the exact optimum of someone who sees the state.";
    OracleShareTop, "oracle_share_top", "share of the optimum", Larger, "`reward` over the exact optimum of someone who sees the state, where the k likeliest items are shown.";
    PrecisionAt1, "precision@1", "share, 0 to 1", Larger, "[`precision_at`](crate::metrics::precision_at) 1 over slates with a click.";
    PrecisionAt10, "precision@10", "share, 0 to 1", Larger, "[`precision_at`](crate::metrics::precision_at) 10 over slates with a click.";
    PrecisionAt10First, "precision@10_first", "share, 0 to 1", Larger, "`precision@10` over the first clicks of sessions, before which a model of clicks knows nothing.";
    PrecisionAt10Known, "precision@10_known", "share, 0 to 1", Larger, "`precision@10` over clicks on lists all of whose items the training sessions show.";
    PrecisionAt1First, "precision@1_first", "share, 0 to 1", Larger, "`precision@1` over the first clicks of sessions, before which a model of clicks knows nothing.";
    PrecisionAt1Known, "precision@1_known", "share, 0 to 1", Larger, "`precision@1` over clicks on lists all of whose items the training sessions show.";
    PrecisionAt1MostPrecise, "precision@1_most_precise", "share, 0 to 1", Larger, "`precision@1` at the checkpoint of the highest precision@1 of the validation users.";
    PrecisionAt2, "precision@2", "share, 0 to 1", Larger, "[`precision_at`](crate::metrics::precision_at) 2 over slates with a click.";
    PrecisionAt2MostPrecise, "precision@2_most_precise", "share, 0 to 1", Larger, "`precision@2` at the checkpoint of the highest precision@1 of the validation users.";
    Reached, "reached", "share, 0 to 1", Larger, "In adaptation whether the level was reached, 0 or 1; in bias the share of `value` that is earned where the log reaches.";
    Reached90, "reached_90", "share, 0 to 1", Larger, "Whether `level_90` was reached, 0 or 1.";
    Reward, "reward", "reward per session", Larger, "Sum of the rewards of a session, mean over sessions.";
    RewardIfClicked, "reward_if_clicked", "reward per session", Larger, "`reward`, mean over the sessions that have a click, as IRecGAN's authors report it.";
    RewardIfClickedTop, "reward_if_clicked_top", "reward per session", Larger, "`reward_if_clicked` where the k likeliest items are shown.";
    RewardTop, "reward_top", "reward per session", Larger, "`reward` where the k likeliest items are shown.";
    Shortfall, "shortfall", "reward", Smaller, "How far the inner maximum of the min-max is from solved, mean over validation slates.";
    SimulatorCtr, "simulator_ctr", "share, 0 to 1", Larger, "`ctr` in the users that the policy was trained in.";
    SimulatorReward, "simulator_reward", "reward per session", Larger, "`reward` in the users that the policy was trained in.";
    Transfer, "transfer", "-1 to 1", Larger, "[`rank_correlation`](crate::metrics::rank_correlation) of r_θ of the users that a policy was trained in and of those that judge, over the items that may be shown.";
    TrueCtr, "true_ctr", "share, 0 to 1", Larger, "`ctr` in the simulated users themselves.";
    TrueOptimum, "true_optimum", "reward per session", Neither, "The most that any policy earns in the simulated users, exactly.";
    TrueReward, "true_reward", "reward per session", Larger, "`reward` in the simulated users themselves.";
    TrustAuc, "trust_auc", "share, 0 to 1", Neither, "Area under the ROC curve with which \
                                                      simulated sessions are distinguished from \
                                                      real ones.";
    TrustClickRateError, "trust_click_rate_error", "share of the rate", Smaller, "The most that the click rate of replayed slates may be off, by its interval.";
    TrustFormGain, "trust_form_gain", "nats per choice", Larger, "The most, by its interval, that `nll_given_click` of a model of another form is above that of the users.";
    TrustFormGreed, "trust_form_greed", "share of the best", Larger, "What greed in the users earns in a model of another form, over the best that knows neither.";
    TrustFormOrder, "trust_form_order", "-1 to 1", Larger, "Kendall's τ of what policies earn in the users and in a model of another form.";
    TrustFormRegret, "trust_form_regret", "share of the best", Smaller, "What the best policy in the users loses in a model of another form.";
    TrustGreed, "trust_greed", "share of the best", Larger, "What greed in one half's users earns in the other's, over the best that knows neither.";
    TrustHalvesAgree, "trust_halves_agree", "-1 to 1", Larger, "[`rank_correlation`](crate::metrics::rank_correlation) of the chances that models of two halves give.";
    TrustLengthError, "trust_length_error", "share of the length", Smaller, "The most that the length of replayed sessions may be off, by its interval.";
    TrustLoss, "trust_loss", "levels", Smaller, "What the verdict costs: 4 a level wrongly permitted, 1 a level withheld.";
    TrustLossNothing, "trust_loss_nothing", "levels", Smaller, "`trust_loss` of the verdict `nothing`.";
    TrustLossRank, "trust_loss_rank", "levels", Smaller, "`trust_loss` of the verdict `rank policies`.";
    TrustLossSimulate, "trust_loss_simulate", "levels", Smaller, "`trust_loss` of the verdict `only simulate`.";
    TrustLossTune, "trust_loss_tune", "levels", Smaller, "`trust_loss` of the verdict `tune`.";
    TrustNllGain, "trust_nll_gain", "nats per choice", Larger, "`nll_given_click` of the best simpler model less that of the users.";
    TrustOrder, "trust_order", "-1 to 1", Larger, "Kendall's τ of what policies earn in the users of two halves.";
    TrustRegret, "trust_regret", "share of the best", Smaller, "What the best policy in one half's users loses in the other's.";
    TrustRewardError, "trust_reward_error", "share of the reward", Smaller, "The most that the reward of replayed slates may be off, by its interval.";
    TrustRightful, "trust_rightful", "level, 0 to 3", Neither, "The verdict that the truth allows.";
    TrustTrueOrder, "trust_true_order", "-1 to 1", Larger, "Kendall's τ of what policies earn in the users and truly.";
    TrustTrueRateError, "trust_true_rate_error", "share", Smaller, "The largest of the relative errors of click rate, reward and length under the logging policy.";
    TrustTrueRegret, "trust_true_regret", "share of the best", Smaller, "What the best policy in the users truly loses.";
    TrustTrueTuned, "trust_true_tuned", "share of the best", Larger, "What greed in the users truly earns, over the best policy that needs no users.";
    TrustUniformGain, "trust_uniform_gain", "nats per choice", Larger, "The least, by its interval, that `nll_given_click` of uniform choice is above that of the users.";
    TrustUnseen, "trust_unseen", "share, 0 to 1", Smaller, "Share of the places of greed's slates that the log never shows.";
    TrustVerdict, "trust_verdict", "level, 0 to 3", Neither, "The verdict: nothing, only simulate, rank policies, tune.";
    TrustWrong, "trust_wrong", "share, 0 to 1", Smaller, "Whether the verdict permits what the truth does not, 0 or 1.";
    ValidationNll, "validation_nll", "nats per choice", Smaller, "`nll` of the validation users at the checkpoint that was kept.";
    ValidationNllGivenClick, "validation_nll_given_click", "nats per choice", Smaller, "`nll_given_click` of the validation users for the settings that were chosen.";
    ValidationPrecisionAt1, "validation_precision@1", "share, 0 to 1", Larger, "`precision@1` of the validation users for the settings that were chosen.";
    Value, "value", "reward per session", Neither, "The value of the agent's policy.";
}

impl Metric {
    /// The metric that a table of anyone's calls so: ours of that name, or [`Other`](Self::Other).
    /// Every further name is kept in memory until the program ends.
    pub fn of_anyone(name: &str) -> Self {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        name.parse().unwrap_or_else(|_| {
            let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
            let known = names.get(name).copied();
            let kept = known.unwrap_or_else(|| Box::leak(name.into()));
            names.insert(kept);
            Self::Other(OtherName(kept))
        })
    }

    /// coverage@1 to coverage@10, slates drawn.
    pub const COVERAGE_AT: [Self; 10] = [
        Self::CoverageAt1,
        Self::CoverageAt2,
        Self::CoverageAt3,
        Self::CoverageAt4,
        Self::CoverageAt5,
        Self::CoverageAt6,
        Self::CoverageAt7,
        Self::CoverageAt8,
        Self::CoverageAt9,
        Self::CoverageAt10,
    ];

    /// The same, where the k most likely items are shown.
    pub const COVERAGE_AT_TOP: [Self; 10] = [
        Self::CoverageAt1Top,
        Self::CoverageAt2Top,
        Self::CoverageAt3Top,
        Self::CoverageAt4Top,
        Self::CoverageAt5Top,
        Self::CoverageAt6Top,
        Self::CoverageAt7Top,
        Self::CoverageAt8Top,
        Self::CoverageAt9Top,
        Self::CoverageAt10Top,
    ];
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name).ok_or_else(|| {
            let mut names: Vec<_> = Self::ALL.iter().map(|metric| metric.name()).collect();
            names.sort_by_key(|known| edits(name, known));
            names.truncate(OFFERED);
            UnknownMetric { found: name.into(), nearest: names }
        })
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Levenshtein's distance: the fewest characters to insert, delete or replace.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (place, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[b.len()]
}
