//! What a policy would have done at the judged slates, as columns that the estimators take.

/// What is known of a policy, or why it is not.
pub type Known<T> = Result<T, String>;

/// Why there are no weights of single places.
pub const NO_MARGINALS: &str = "they need the log's probability of an item at a place, regardless \
                                of the items at the other places; a file with the columns \
                                place,item,policy,logging gives it";

/// What a policy would do on the judged slates.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The probability of each logged place given those before it, `[places]`.
    pub given: Known<Vec<f64>>,
    /// The probabilities of single places, whatever is at the others.
    pub alone: Known<Alone>,
    /// What q̂ expects of the policy's slate, `[slates]`.
    pub expected: Known<Vec<f64>>,
    /// What q̂ expects of the policy's item at each place, after the logged items, `[places]`.
    pub ahead: Known<Vec<f64>>,
    /// What of the policy the log never shows.
    pub unseen: Known<Unseen>,
}

/// Marginal probabilities of the logged items.
#[derive(Clone, Debug)]
pub struct Alone {
    /// By the policy that made the log, at the place where the item stood, `[places]`.
    pub logging: Vec<f64>,
    /// The same by the judged policy.
    pub policy: Vec<f64>,
    /// Both for every place where the item could have stood, `[slates, k, k]`.
    pub everywhere: Known<[Vec<f64>; 2]>,
}

/// How much of what a policy shows is nowhere in the judged slates: shares of 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unseen {
    /// Of its places: those whose item the log never shows at that place.
    pub places: f64,
    /// Of its slates: those that the log never shows, whole and in this order; none where that is
    /// not known.
    pub slates: Option<f64>,
}

impl Alone {
    /// Where the log says what its own probabilities at single places are: as it has them.
    pub fn by_log(logging: &[f64], policy: Vec<f64>) -> Self {
        let everywhere = Err("the log has the place of each item, not the places that it could \
                              have had; a file with the columns place,item,policy,logging has them"
            .to_owned());
        Self { logging: logging.to_vec(), policy, everywhere }
    }
}
