//! A learned user model compared with the simulated users that it learned from.

use foretaste_data::Log;
use foretaste_eval::choice::ChoiceModel;
use foretaste_sim::ChoiceUsers;
use foretaste_user_model::UserModel;

/// How close a model comes to users of one type, whose outside option is not absent, on the
/// slates of a log.
#[derive(Debug)]
pub struct Comparison {
    /// Mean Kullback-Leibler divergence of the model's choice from the true one, in nats per
    /// slate.
    pub divergence: f64,
    /// Share of the pairs of shown items that model and truth rank alike.
    pub ranked_alike: f64,
    /// Mean negative log-likelihood of the model, in nats per choice.
    pub nll: f64,
    /// The same of the truth.
    pub true_nll: f64,
}

pub fn compare(
    model: &UserModel,
    users: &ChoiceUsers,
    log: &Log,
) -> foretaste_eval::Result<Comparison> {
    let all: Vec<usize> = (0..log.sessions()).collect();
    let predictions = model.predict(log, &all)?;
    let mut predictions = predictions.iter();
    let (mut divergence, mut nll, mut true_nll) = (0.0, 0.0, 0.0);
    let (mut alike, mut pairs) = (0, 0);
    for session in log.iter() {
        let mut history = Vec::new();
        for step in session.steps() {
            let phi = users.choice_probabilities(0, &history, step.slate);
            let prediction = predictions.next().expect("a prediction for every step");
            let learned = prediction.log_choice.as_ref().expect("users may choose nothing");
            divergence += phi.iter().zip(learned).map(|(p, q)| p * (p.ln() - q)).sum::<f64>();
            let chosen = step.slate.iter().position(|item| step.choice.item() == Some(*item));
            let chosen = chosen.unwrap_or(step.slate.len());
            nll -= learned[chosen];
            true_nll -= phi[chosen].ln();
            for i in 0..step.slate.len() {
                alike += (0..i).filter(|&j| (phi[i] > phi[j]) == (learned[i] > learned[j])).count();
                pairs += i;
            }
            history.extend(step.choice.item());
        }
    }
    let steps = log.steps() as f64;
    Ok(Comparison {
        divergence: divergence / steps,
        ranked_alike: alike as f64 / pairs as f64,
        nll: nll / steps,
        true_nll: true_nll / steps,
    })
}
