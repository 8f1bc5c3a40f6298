//! The slate that pays most at once in learned users.

use foretaste_cascade_dqn::{Assortment, Pays};
use foretaste_data::{Choice, ItemId};
use foretaste_user_model::{Outside, Regulariser, UserModel, UserModelConfig};

use super::Kind;
use super::greedy::{self, Model};
use crate::training::{Job, Trained, Training, TrainingLog, Watch};
use crate::{Content, Erased, Error, Result};

pub(super) const KIND: Kind = Kind {
    name: "assortment",
    model: "assortment/1",
    networks: &[],
    build: |content, catalogue, device| {
        let Model { model, history } = Model::of(content, catalogue, device)?;
        let (eta, pays) = (model.config().eta, pays(model.config(), catalogue.len())?);
        Ok(Box::new(Erased::certain(Assortment::new(model, history, eta, pays)?)))
    },
    training: Some(Training {
        about: "the slate with the highest expected reward in learned users",
        takes: greedy::TAKES,
        learns: true,
        settings: greedy::settings,
        train,
    }),
};

impl Content {
    /// The slates of the largest expected reward by a learned user model, which is given the last
    /// `history` clicks. Where it takes the place on a slate, all places are alike.
    ///
    /// # Errors
    /// [`Error::Setting`] if the model does not know what its log pays, or its users do not choose
    /// by a multinomial logit.
    pub fn assortment(model: &UserModel, history: usize) -> Result<Self> {
        pays(model.config(), model.config().items)?;
        greedy::content(KIND.name, model, history)
    }
}

fn train(log: &TrainingLog<'_>, job: &Job<'_>, watch: &mut dyn Watch) -> Result<Trained> {
    greedy::train_as(Content::assortment, log, job, watch)
}

/// What the users pay in expectation, given what they do.
fn pays(users: &UserModelConfig, items: usize) -> Result<Pays> {
    if users.regulariser != Regulariser::Shannon {
        let problem = format!(
            "{:?}, expected shannon: the best slate can be computed only for a multinomial logit",
            users.regulariser
        );
        return Err(Error::setting("regulariser", problem));
    }
    let Some(outcomes) = &users.outcomes else {
        let problem = "they have no model of the rewards of their log; fit them again";
        return Err(Error::setting("users", problem));
    };
    let rewards = &outcomes.rewards;
    let nothing = match users.outside {
        Outside::Absent => None,
        Outside::Nothing { leaving } => {
            let leaving = leaving as f32;
            Some(leaving * rewards.leave + (1.0 - leaving) * rewards.skip)
        }
    };
    let of_item = |item: usize| rewards.expected(Choice::Item(ItemId(item as u32)));
    Ok(Pays { items: (0..items).map(of_item).collect(), nothing })
}
