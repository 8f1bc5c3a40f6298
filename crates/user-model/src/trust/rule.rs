//! The rule: from figures to what may be asked.

use std::fmt;

use serde::Serialize;

/// What learned users may be used for; each level allows those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing.
    Nothing,
    /// Click rates, rewards and lengths of session on slates like those of the log.
    OnlySimulate,
    /// The order of policies that are clearly different.
    RankPolicies,
    /// To train or tune a policy in them.
    Tune,
}

impl Verdict {
    /// All of them, rising.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::OnlySimulate, Self::RankPolicies, Self::Tune];

    /// What is allowed, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::OnlySimulate => "only simulate",
            Self::RankPolicies => "rank policies",
            Self::Tune => "tune",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The figures that the rule reads; none where a figure is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// NLL given a click of the best simpler model less that of the users, on held-out sessions, in
    /// nats a click: above 0 where the users are better.
    pub nll_gain: Option<f64>,
    /// The least, by its interval, that the NLL of uniform choice is above that of the users.
    pub uniform_gain: Option<f64>,
    /// The most that the click rate of the replayed slates of all sessions may be off, by its
    /// interval, as a share of the log's.
    pub click_rate_error: Option<f64>,
    /// The same of the reward a slate.
    pub reward_error: Option<f64>,
    /// The same of the length of a session; not required if no user leaves in the log.
    pub length_error: Option<f64>,
    /// The area under the ROC curve with which simulated sessions are distinguished from real ones.
    pub told_apart: Option<f64>,
    /// Rank correlation of the chances that models of two halves give the items of held-out slates.
    pub halves_agree: Option<f64>,
    /// [`Pair::order`](super::Pair::order).
    pub order: Option<f64>,
    /// [`Pair::regret`](super::Pair::regret).
    pub regret: Option<f64>,
    /// [`Pair::greed`](super::Pair::greed).
    pub greed: Option<f64>,
    /// [`Pair::unseen`](super::Pair::unseen).
    pub unseen: Option<f64>,
    /// The most, by its interval, that the NLL given a click of a model of another form is above
    /// that of the users, on held-out sessions, in nats a click: below 0 where the other form is
    /// better beyond chance.
    pub form_gain: Option<f64>,
    /// [`Pair::order_in`](super::Pair::order_in) the model of another form.
    pub form_order: Option<f64>,
    /// [`Pair::regret_in`](super::Pair::regret_in) the model of another form.
    pub form_regret: Option<f64>,
    /// [`Pair::greed_in`](super::Pair::greed_in) the model of another form.
    pub form_greed: Option<f64>,
    /// What the log of another policy says; not asked for where there is none.
    pub other_log: Option<OtherLog>,
}

/// Users compared with the log of another policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OtherLog {
    /// The least that their click rate must be off there, by its interval, as a share of the log's.
    pub click_rate_error: f64,
    /// The same of the reward a slate.
    pub reward_error: f64,
    /// Rank correlation of the click rates of items, or of what showing them pays where clicks pay
    /// differently; the smaller one where both are known.
    pub items_agree: Option<f64>,
}

/// One thing that a verdict asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Condition {
    /// The least verdict that asks for it.
    pub verdict: Verdict,
    /// What must be so.
    pub what: &'static str,
    /// The figure, where it is known.
    pub found: Option<f64>,
    /// Its limit.
    pub limit: f64,
    /// Whether the limit is the least, or the most.
    pub least: bool,
}

impl Condition {
    /// Whether the figure is known and within its limit.
    pub fn holds(&self) -> bool {
        match self.found {
            None => false,
            Some(found) if self.least => found >= self.limit,
            Some(found) => found <= self.limit,
        }
    }
}

impl Evidence {
    /// In how many of how many simulated worlds of known truth the rule permitted too much: the
    /// record of `docs/trust.md`.
    pub const RECORD: (usize, usize) = (5, 100);

    /// Users that cannot be distinguished from uniform choice model no one.
    pub const UNIFORM_GAIN: f64 = 0.0;
    /// Users who predict clicks clearly worse than counts or trees do have missed what those know;
    /// a hundredth of a nat is what the choice of settings moves.
    pub const NLL_GAIN: f64 = -0.01;
    /// A rate is called right within 5%; a little is left to the interval.
    pub const RATE_ERROR: f64 = 0.06;
    /// The same of lengths, of which there are fewer, so that their interval is wider.
    pub const LENGTH_ERROR: f64 = 0.07;
    /// Sessions that trees tell apart this well, two pairs in three, are of other users.
    pub const TOLD_APART: f64 = 0.65;
    /// Halves that agree less have too few sessions, or a form that the users do not have: models
    /// of users of several types, which no such model can distinguish, agree to 0.9.
    pub const HALVES_AGREE: f64 = 0.93;
    /// The order of policies is called right at a τ of 0.8; halves, which know less, must have it.
    pub const ORDER: f64 = 0.8;
    /// The best policy is called right if it loses 2%; halves, which know less, lose more.
    pub const REGRET: f64 = 0.05;
    /// A model of another form that predicts clicks better, beyond chance and by more than this,
    /// knows of the users what they do not.
    pub const FORM_GAIN: f64 = -0.005;
    /// Forms that predict clicks equally well and order policies differently leave the order open.
    pub const FORM_ORDER: f64 = 0.8;
    /// What the other form says that the best policy loses; that form is wrong, too, in its way.
    pub const FORM_REGRET: f64 = 0.07;
    /// Tuning depends on single items, while an order of policies depends on sums.
    pub const HALVES_AGREE_TO_TUNE: f64 = 0.95;
    /// Greed of half of the sessions in users of the other half: no worse than what needs no users,
    /// but for 2% that are called right and what half of the sessions and chance take.
    pub const GREED: f64 = 0.97;
    /// The same of the users' own greed in users of another form.
    pub const FORM_GREED: f64 = 0.95;
    /// What was never shown is not known; halves may agree on it by their common form.
    pub const UNSEEN: f64 = 0.1;
    /// Rates on another policy's slates that are off by more, beyond chance.
    pub const OTHER_RATE_ERROR: f64 = 0.1;
    /// Items that another policy's log puts in an order that is not theirs.
    pub const OTHER_ITEMS_AGREE: f64 = 0.5;

    /// All that the verdicts ask for, the least first.
    pub fn conditions(&self) -> Vec<Condition> {
        use Verdict::{OnlySimulate, RankPolicies, Tune};
        let least =
            |verdict, what, found, limit| Condition { verdict, what, found, limit, least: true };
        let most =
            |verdict, what, found, limit| Condition { verdict, what, found, limit, least: false };
        let length = self.length_error.map(|error| {
            most(OnlySimulate, "relative error of session length", Some(error), Self::LENGTH_ERROR)
        });
        let other = self.other_log.map(|other| {
            [
                most(
                    RankPolicies,
                    "relative error of the click rate on the other log",
                    Some(other.click_rate_error),
                    Self::OTHER_RATE_ERROR,
                ),
                most(
                    RankPolicies,
                    "relative error of the reward on the other log",
                    Some(other.reward_error),
                    Self::OTHER_RATE_ERROR,
                ),
                least(
                    RankPolicies,
                    "rank correlation of items' click rates or rewards on the other log",
                    other.items_agree,
                    Self::OTHER_ITEMS_AGREE,
                ),
            ]
        });
        let own = [
            least(
                OnlySimulate,
                "NLL gained on uniform choice, at least",
                self.uniform_gain,
                Self::UNIFORM_GAIN,
            ),
            least(
                OnlySimulate,
                "NLL gained on the best simpler model",
                self.nll_gain,
                Self::NLL_GAIN,
            ),
            most(
                OnlySimulate,
                "relative error of the click rate",
                self.click_rate_error,
                Self::RATE_ERROR,
            ),
            most(OnlySimulate, "relative error of the reward", self.reward_error, Self::RATE_ERROR),
        ];
        let further = [
            most(
                OnlySimulate,
                "AUC of simulated against real sessions",
                self.told_apart,
                Self::TOLD_APART,
            ),
            least(
                RankPolicies,
                "rank correlation of two halves' chances",
                self.halves_agree,
                Self::HALVES_AGREE,
            ),
            least(RankPolicies, "Kendall's τ of two halves' policies", self.order, Self::ORDER),
            most(
                RankPolicies,
                "regret of one half's best policy in the other",
                self.regret,
                Self::REGRET,
            ),
            least(
                RankPolicies,
                "NLL gained on a model of another form, at most",
                self.form_gain,
                Self::FORM_GAIN,
            ),
            least(
                RankPolicies,
                "Kendall's τ of policies in the users and in another form",
                self.form_order,
                Self::FORM_ORDER,
            ),
            most(
                RankPolicies,
                "regret of the users' best policy in another form",
                self.form_regret,
                Self::FORM_REGRET,
            ),
            least(
                Tune,
                "rank correlation of two halves' chances",
                self.halves_agree,
                Self::HALVES_AGREE_TO_TUNE,
            ),
            least(
                Tune,
                "greed of one half in the other, over the best that knows neither",
                self.greed,
                Self::GREED,
            ),
            least(
                Tune,
                "greed of the users in another form, over the best that knows neither",
                self.form_greed,
                Self::FORM_GREED,
            ),
            most(
                Tune,
                "share of greed's places that the log never shows",
                self.unseen,
                Self::UNSEEN,
            ),
        ];
        let mut all: Vec<Condition> = own
            .into_iter()
            .chain(length)
            .chain(further)
            .chain(other.into_iter().flatten())
            .collect();
        all.sort_by_key(|condition| condition.verdict);
        all
    }

    /// The largest verdict whose conditions, and those of all before it, hold.
    pub fn verdict(&self) -> Verdict {
        let conditions = self.conditions();
        let broken = conditions.iter().filter(|condition| !condition.holds());
        let first = broken.map(|condition| condition.verdict).min();
        let allowed =
            Verdict::ALL.into_iter().filter(|&verdict| first.is_none_or(|first| verdict < first));
        allowed.max().unwrap_or(Verdict::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evidence() -> impl Strategy<Value = Evidence> {
        let figure = || prop::option::weighted(0.9, -0.2f64..1.2);
        let small = || prop::option::weighted(0.9, 0.0f64..0.2);
        let other = prop::option::of((0.0f64..0.2, 0.0f64..0.2, figure()));
        let simulate =
            (small(), small(), small(), small(), prop::option::weighted(0.9, 0.4f64..0.8));
        let rank = (0.85f64..1.0, figure(), small());
        let form = (small(), figure(), small(), figure());
        (simulate, rank, form, figure(), small(), other).prop_map(
            |(
                (nll, click, reward, length, auc),
                (agree, order, regret),
                (gain, form_order, form_regret, form_greed),
                greed,
                unseen,
                other,
            )| {
                Evidence {
                    nll_gain: nll.map(|nll| nll - 0.05),
                    uniform_gain: nll.map(|nll| nll - 0.04),
                    click_rate_error: click,
                    reward_error: reward,
                    length_error: length,
                    told_apart: auc,
                    halves_agree: Some(agree),
                    order,
                    regret,
                    greed: greed.map(|greed| greed + 0.2),
                    form_gain: gain.map(|gain| gain - 0.05),
                    form_order,
                    form_regret,
                    form_greed: form_greed.map(|greed| greed + 0.2),
                    unseen,
                    other_log: other.map(|(click_rate_error, reward_error, items_agree)| {
                        OtherLog { click_rate_error, reward_error, items_agree }
                    }),
                }
            },
        )
    }

    /// The figures, each moved for the better by so much; which are known stays.
    fn better(evidence: Evidence, by: [f64; 18]) -> Evidence {
        let up = |figure: Option<f64>, by: f64| figure.map(|figure| figure + by);
        let down = |figure: Option<f64>, by: f64| figure.map(|figure| figure - by);
        Evidence {
            nll_gain: up(evidence.nll_gain, by[0]),
            uniform_gain: up(evidence.uniform_gain, by[12]),
            click_rate_error: down(evidence.click_rate_error, by[1]),
            reward_error: down(evidence.reward_error, by[2]),
            length_error: down(evidence.length_error, by[3]),
            told_apart: down(evidence.told_apart, by[4]),
            halves_agree: up(evidence.halves_agree, by[5]),
            order: up(evidence.order, by[6]),
            regret: down(evidence.regret, by[7]),
            greed: up(evidence.greed, by[8]),
            form_gain: up(evidence.form_gain, by[13]),
            form_order: up(evidence.form_order, by[14]),
            form_regret: down(evidence.form_regret, by[15]),
            form_greed: up(evidence.form_greed, by[16]),
            unseen: down(evidence.unseen, by[9]),
            other_log: evidence.other_log.map(|other| OtherLog {
                click_rate_error: other.click_rate_error - by[10],
                reward_error: other.reward_error - by[17],
                items_agree: up(other.items_agree, by[11]),
            }),
        }
    }

    fn perfect() -> Evidence {
        Evidence {
            nll_gain: Some(0.1),
            uniform_gain: Some(0.3),
            click_rate_error: Some(0.0),
            reward_error: Some(0.0),
            length_error: Some(0.0),
            told_apart: Some(0.5),
            halves_agree: Some(1.0),
            order: Some(1.0),
            regret: Some(0.0),
            greed: Some(1.5),
            form_gain: Some(0.1),
            form_order: Some(1.0),
            form_regret: Some(0.0),
            form_greed: Some(1.5),
            unseen: Some(0.0),
            other_log: Some(OtherLog {
                click_rate_error: 0.0,
                reward_error: 0.0,
                items_agree: Some(1.0),
            }),
        }
    }

    proptest! {
        #[test]
        fn better_figures_never_give_less_permission(
            evidence in evidence(), by in prop::array::uniform18(0.0f64..0.3),
        ) {
            prop_assert!(better(evidence, by).verdict() >= evidence.verdict());
        }

        #[test]
        fn every_verdict_keeps_the_conditions_of_all_before_it(evidence in evidence()) {
            let verdict = evidence.verdict();
            for condition in evidence.conditions() {
                prop_assert!(condition.verdict > verdict || condition.holds());
            }
        }
    }

    /// Each single figure that is lost or spoiled costs the verdicts that ask for it.
    #[test]
    fn each_figure_alone_can_withhold_its_verdict() {
        use Verdict::{Nothing, OnlySimulate, RankPolicies, Tune};
        assert_eq!(perfect().verdict(), Tune);
        let other = |click_rate_error, reward_error, items| {
            Some(OtherLog { click_rate_error, reward_error, items_agree: Some(items) })
        };
        let far = Some(0.9);
        for (spoilt, verdict) in [
            (Evidence { nll_gain: Some(-1.0), ..perfect() }, Nothing),
            (Evidence { uniform_gain: Some(-0.1), ..perfect() }, Nothing),
            (Evidence { click_rate_error: far, ..perfect() }, Nothing),
            (Evidence { reward_error: None, ..perfect() }, Nothing),
            (Evidence { length_error: far, ..perfect() }, Nothing),
            (Evidence { length_error: None, ..perfect() }, Tune),
            (Evidence { told_apart: far, ..perfect() }, Nothing),
            (Evidence { halves_agree: Some(0.0), ..perfect() }, OnlySimulate),
            (Evidence { order: None, ..perfect() }, OnlySimulate),
            (Evidence { regret: far, ..perfect() }, OnlySimulate),
            (Evidence { greed: Some(0.5), ..perfect() }, RankPolicies),
            (Evidence { form_gain: Some(-0.1), ..perfect() }, OnlySimulate),
            (Evidence { form_order: None, ..perfect() }, OnlySimulate),
            (Evidence { form_regret: far, ..perfect() }, OnlySimulate),
            (Evidence { form_greed: None, ..perfect() }, RankPolicies),
            (Evidence { unseen: far, ..perfect() }, RankPolicies),
            (Evidence { other_log: other(0.9, 0.0, 1.0), ..perfect() }, OnlySimulate),
            (Evidence { other_log: other(0.0, 0.0, -1.0), ..perfect() }, OnlySimulate),
            (Evidence { other_log: other(0.0, 0.9, 1.0), ..perfect() }, OnlySimulate),
            (Evidence { other_log: None, ..perfect() }, Tune),
        ] {
            assert_eq!(spoilt.verdict(), verdict, "{spoilt:?}");
        }
    }
}
