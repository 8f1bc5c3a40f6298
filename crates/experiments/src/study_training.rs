//! Algorithm 1 of IRecGAN with validation: U and A each keep their best epoch, before and after the
//! adversarial training.

use foretaste_data::Log;
use foretaste_irecgan::{Buffer, CurvePoint, IRecGan};
use foretaste_lab::Watch;
use foretaste_nn::Params;
use foretaste_train::{Candidates, Fit, FitConfig};

use crate::epochs::{self, NetworkPoint, Row, curves, generated, joined};
use crate::learned::{figures, interruptible};

/// A run of Algorithm 1, validated on held-out sessions.
pub struct Validated<'a> {
    /// U, A and D.
    pub run: IRecGan,
    /// What they learn from.
    pub train: &'a Log,
    /// What their best epochs are chosen by.
    pub held_out: &'a Buffer,
    /// Epochs of line 3 or 4 without a new best after which it stops.
    pub patience: u64,
    /// Who watches.
    pub watch: &'a Watch,
}

impl Validated<'_> {
    /// U's pretraining. Returns its learning curve.
    pub fn line_3(&mut self) -> anyhow::Result<Vec<Row>> {
        self.pretrain(Network::Users, self.run.config().users_epochs, 0)
    }

    /// A's pretraining. Returns its learning curve.
    pub fn line_4(&mut self) -> anyhow::Result<Vec<Row>> {
        let (before, epochs) = (self.run.config().users_epochs, self.run.config().agent_epochs);
        self.pretrain(Network::Agent, epochs, before)
    }

    /// D's pretraining and the adversarial training. `before` holds the learning curves of U and A,
    /// which go on.
    pub fn lines_5_to_19(&mut self, before: [Vec<Row>; 2]) -> anyhow::Result<[Vec<Row>; 2]> {
        self.run.pretrain_discriminator(self.train)?;
        let (watch, total) = (self.watch, self.epochs());
        let config = FitConfig {
            iterations: self.run.config().epochs,
            validate_every: 1,
            patience: None,
            candidates: Candidates::Trained,
        };
        let lengths = before.each_ref().map(Vec::len);
        let mut lines = Adversarial { training: self, before: lengths, point: None };
        let fitted = foretaste_train::fit(&mut lines, config, |progress| {
            watch.progress(total - config.iterations + progress.iteration, total);
            // What is validated before any epoch is what lines 3 and 4 left.
            if progress.iteration > 0 {
                epochs::record(watch, &progress.point.unwrap_or_default());
            }
            watch.control_flow()
        });
        let mut curves = joined(&before, curves(interruptible(fitted)?)).into_iter();
        Ok([(); 2].map(|()| curves.next().unwrap_or_default()))
    }

    fn pretrain(&mut self, network: Network, most: u64, before: u64) -> anyhow::Result<Vec<Row>> {
        let (watch, total) = (self.watch, self.epochs());
        let config = FitConfig {
            iterations: most,
            validate_every: 1,
            patience: Some(self.patience),
            candidates: Candidates::All,
        };
        let mut line = Pretraining { training: self, network, loss: None };
        let fitted = foretaste_train::fit(&mut line, config, |progress| {
            watch.progress(before + progress.iteration, total);
            epochs::record(watch, &progress.point.unwrap_or_default());
            watch.control_flow()
        });
        Ok(curves(interruptible(fitted)?).into_iter().flatten().collect())
    }

    /// Epochs of all lines, of which line 6 is one.
    fn epochs(&self) -> u64 {
        let config = self.run.config();
        config.users_epochs + config.agent_epochs + 1 + config.epochs
    }
}

/// U or A.
#[derive(Clone, Copy)]
enum Network {
    Users,
    Agent,
}

impl Network {
    fn params(self, run: &IRecGan) -> &Params {
        match self {
            Self::Users => run.users().params(),
            Self::Agent => run.agent().params(),
        }
    }

    /// What is known of it after an epoch.
    fn point(
        self,
        training: &Validated<'_>,
        epoch: u64,
        train_loss: Option<f64>,
    ) -> anyhow::Result<NetworkPoint> {
        let Validated { run, held_out, .. } = training;
        let norms = run.gradient_norms();
        let (part, loss, norm) = match self {
            Self::Users => ("users", run.users().mean_loss(&held_out.log)?, norms.users),
            Self::Agent => {
                let loss = run.agent().mean_loss(held_out, &run.config().agent_training)?;
                ("agent", loss, norms.agent)
            }
        };
        let point = NetworkPoint::new(part, epoch, train_loss, loss);
        Ok(point.with_norms(figures([("gradient_norm", norm)])))
    }
}

/// Line 3 or 4.
struct Pretraining<'a, 'b> {
    training: &'a mut Validated<'b>,
    network: Network,
    /// Of the last epoch.
    loss: Option<f64>,
}

impl Fit for Pretraining<'_, '_> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, _epoch: u64) -> anyhow::Result<()> {
        let Validated { run, train, .. } = self.training;
        self.loss = match self.network {
            Network::Users => run.pretrain_users(train)?.users_loss,
            Network::Agent => run.pretrain_agent(train)?.agent_loss,
        };
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        Ok(vec![self.network.point(self.training, epoch, self.loss)?])
    }

    fn params(&self) -> Vec<&Params> {
        vec![self.network.params(&self.training.run)]
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        epochs::losses(networks)
    }
}

/// Lines 8 to 19.
struct Adversarial<'a, 'b> {
    training: &'a mut Validated<'b>,
    /// Lengths of the learning curves of U and A so far.
    before: [usize; 2],
    /// What came of the last epoch.
    point: Option<CurvePoint>,
}

impl Fit for Adversarial<'_, '_> {
    type Point = Vec<NetworkPoint>;
    type Error = anyhow::Error;

    fn train(&mut self, _epoch: u64) -> anyhow::Result<()> {
        let Validated { run, train, .. } = self.training;
        self.point = Some(run.adversarial_epoch(train)?);
        Ok(())
    }

    fn validate(&mut self, epoch: u64) -> anyhow::Result<Vec<NetworkPoint>> {
        let [of_users, of_agent] = self.before.map(|length| length as u64 + epoch - 1);
        let (users_loss, agent_loss) =
            self.point.map_or((None, None), |point| (point.users_loss, point.agent_loss));
        let users = Network::Users.point(self.training, of_users, users_loss)?;
        let agent = Network::Agent.point(self.training, of_agent, agent_loss)?;
        let norm = self.training.run.gradient_norms().discriminator;
        let norm = figures([("discriminator_gradient_norm", norm)]);
        Ok(vec![users, agent.with(self.point.iter().flat_map(generated)).with_norms(norm)])
    }

    fn params(&self) -> Vec<&Params> {
        let run = &self.training.run;
        [Network::Users, Network::Agent].map(|network| network.params(run)).into()
    }

    fn losses(&self, networks: &Vec<NetworkPoint>) -> Vec<f64> {
        epochs::losses(networks)
    }
}
