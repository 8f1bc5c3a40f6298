//! Names chosen by pattern, as a column of the ledger's file writes them.

/// Patterns: a name is chosen if one that has no `!` before it fits and none that has one does. `*`
/// stands for any text, once in a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Patterns {
    /// The patterns in a list separated by ` | `; the empty list chooses everything.
    pub fn parse(list: &str) -> Self {
        let (unwanted, wanted): (Vec<_>, Vec<_>) =
            split(list).partition(|pattern| pattern.starts_with('!'));
        let wanted = if wanted.is_empty() { vec!["*".to_owned()] } else { wanted };
        Self { wanted, unwanted: unwanted.iter().map(|pattern| pattern[1..].to_owned()).collect() }
    }

    /// Whether the name is chosen.
    pub fn choose(&self, name: &str) -> bool {
        self.rank(name).is_some()
    }

    /// The number of the first pattern that chooses the name, from 0; `None` where it is not
    /// chosen.
    pub fn rank(&self, name: &str) -> Option<usize> {
        let first = |patterns: &[String]| patterns.iter().position(|pattern| fits(pattern, name));
        first(&self.wanted).filter(|_| first(&self.unwanted).is_none())
    }
}

impl Patterns {
    /// The first pattern that fits none of the names, `!` or not.
    pub fn fitting_none<'a>(&'a self, names: &[&str]) -> Option<&'a str> {
        let fits_some = |pattern: &&String| names.iter().any(|name| fits(pattern, name));
        self.wanted
            .iter()
            .chain(&self.unwanted)
            .find(|pattern| !fits_some(pattern))
            .map(String::as_str)
    }
}

/// The parts of a list separated by ` | `.
pub fn split(list: &str) -> impl Iterator<Item = String> {
    list.split(" | ").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_by_head_and_tail_and_exclude() {
        let dense = Patterns::parse("* | !random(200)");
        assert!(
            dense.choose("random(1000)")
                && dense.choose("max(200)")
                && !dense.choose("random(200)")
        );
        let random = Patterns::parse("random(*)");
        assert!(
            random.choose("random(200)") && !random.choose("max(200)") && !random.choose("random(")
        );
        assert!(Patterns::parse("").choose("") && Patterns::parse("").choose("x"));
        let named = Patterns::parse("k = 3 | k = 5");
        assert!(named.choose("k = 5") && !named.choose("k = 4"));
        let others = Patterns::parse("!cikm | !cikm16");
        assert!(others.choose("trivago") && !others.choose("cikm16"));
    }

    #[test]
    fn a_name_has_the_rank_of_the_first_pattern_that_chooses_it() {
        let patterns = Patterns::parse("random(200) | * | max(*) | !mix(1000)");
        let ranks = ["random(200)", "random(1000)", "max(200)", "mix(1000)"];
        assert_eq!(ranks.map(|name| patterns.rank(name)), [Some(0), Some(1), Some(1), None]);
    }
}
