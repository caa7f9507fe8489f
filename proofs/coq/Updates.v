(** A6 to A8: what an update of the policy does to training and to generalization. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Values Ladder Robustness Gap Worlds.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** One rendering *)

Section One.

Variables (F : realFieldType) (S A : finType) (m : mdp F S A).
Implicit Types (pi : S -> A -> F) (V d : S -> F).
Notation gamma := (discount m).

Lemma expect_advantage pi0 V0 pi1 s :
  is_value m pi0 V0 -> policy pi1 ->
  expect (pi1 s) (advantage m V0 s) = \sum_a (pi1 s a - pi0 s a) * action_value m V0 s a.
Proof.
move=> PV P1; under [RHS]eq_bigr do rewrite mulrBl.
rewrite sumrB -/(expect (pi0 s) _) -PV /expect.
under eq_bigr do rewrite /advantage mulrBr.
by rewrite sumrB -mulr_suml; case: (P1 s) => _ ->; rewrite mul1r.
Qed.

Lemma return_difference pi0 V0 pi1 V1 d1 :
  is_value m pi0 V0 -> policy pi1 -> is_value m pi1 V1 -> is_occupancy m pi1 d1 ->
  return_of m V1 - return_of m V0 = \sum_s d1 s * expect (pi1 s) (advantage m V0 s).
Proof.
move=> PV0 P1 PV1 Pd1; rewrite (performance_difference PV0 PV1 Pd1).
by apply: eq_bigr => s _; rewrite (expect_advantage _ PV0).
Qed.

(** The probabilities of the next states, for any weights of the actions. *)
Lemma next_mass (x : A -> F) s : \sum_t \sum_a x a * transition m s a t = \sum_a x a.
Proof.
rewrite exchange_big; apply: eq_bigr => a _ /=; rewrite -mulr_sumr.
by case: (transition_dist m s a) => _ ->; rewrite mulr1.
Qed.

(** How far an update moves the occupancy. *)
Lemma occupancy_shift pi0 pi1 d0 d1 :
  policy pi0 -> policy pi1 -> is_occupancy m pi0 d0 -> is_occupancy m pi1 d1 ->
  \sum_s `|d1 s - d0 s| <= 2%:R * gamma / (1 - gamma) * visited_tv d0 pi1 pi0.
Proof.
move=> P0 P1 Pd0 Pd1; have h0 := horizon_gt0 m; have g0 := discount_ge0 m.
set X := \sum_s _; set Y := visited_tv _ _ _.
suff XY : X <= gamma * (X + 2%:R * Y).
  rewrite mulrAC ler_pdivl_mulr // mulrBr mulr1 ler_subl_addr (le_trans XY) //.
  by rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
have tv2 s : 2%:R * tv (pi1 s) (pi0 s) = \sum_a `|pi1 s a - pi0 s a|.
  by rewrite /tv mulrC divfK // pnatr_eq0.
have -> : X + 2%:R * Y = \sum_t \sum_s (`|d1 s - d0 s| * expect (pi1 s) (transition m s ^~ t)
    + d0 s * \sum_a `|pi1 s a - pi0 s a| * transition m s a t).
  rewrite exchange_big mulr_sumr -big_split; apply: eq_bigr => s _ /=.
  rewrite big_split -!mulr_sumr !next_mass mulrCA tv2.
  by case: (P1 s) => _ ->; rewrite mulr1.
rewrite mulr_sumr; apply: ler_sum => t _; rewrite {1}Pd0 {1}Pd1.
rewrite opprD addrACA subrr add0r -mulrBr normrM (ger0_norm g0) ler_wpmul2l // -sumrB.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => s _.
set e0 := expect (pi0 s) _; set e1 := expect (pi1 s) _.
have P s' a t' : 0 <= transition m s' a t' by case: (transition_dist m s' a).
have e1_ge0 : 0 <= e1.
  by apply: sumr_ge0 => a _; apply: mulr_ge0 => //; case: (P1 s).
have -> : d1 s * e1 - d0 s * e0 = (d1 s - d0 s) * e1 + d0 s * (e1 - e0) by ring.
apply: le_trans (ler_norm_add _ _) _; rewrite !normrM (ger0_norm e1_ge0) ler_add2l.
have d0_ge0 := occupancy_ge0 s P0 Pd0; rewrite (ger0_norm d0_ge0) ler_wpmul2l // -sumrB.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => a _.
by rewrite -mulrBl normrM (ger0_norm (P _ _ _)).
Qed.

(** A6 for one rendering. *)
Lemma pair_two_sided pi0 V0 d0 pi1 V1 eps :
  policy pi0 -> policy pi1 -> is_value m pi0 V0 -> is_value m pi1 V1 -> is_occupancy m pi0 d0 ->
  (forall s, `|expect (pi1 s) (advantage m V0 s)| <= eps) ->
  `|return_of m V1 -
      (return_of m V0 + \sum_s d0 s * expect (pi1 s) (advantage m V0 s))| <=
    2%:R * gamma * eps / (1 - gamma) * visited_tv d0 pi1 pi0.
Proof.
move=> P0 P1 PV0 PV1 Pd0 Peps; have [d1 Pd1] := occupancy_exists m P1.
rewrite opprD addrA (return_difference PV0 P1 PV1 Pd1) -sumrB.
have eps0 : 0 <= eps.
  have [s _|S0] := pickP (fun _ : S => true); first exact: le_trans (Peps s).
  by have [_] := initial_dist m; rewrite big_pred0 // => /esym/eqP; rewrite oner_eq0.
have -> : 2%:R * gamma * eps / (1 - gamma) * visited_tv d0 pi1 pi0 =
    2%:R * gamma / (1 - gamma) * visited_tv d0 pi1 pi0 * eps.
  by move: (visited_tv _ _ _) (_^-1) => x y; ring.
apply: le_trans (ler_norm_sum _ _ _) _.
apply: le_trans (ler_wpmul2r eps0 (occupancy_shift P0 P1 Pd0 Pd1)); rewrite mulr_suml.
by apply: ler_sum => s _; rewrite -mulrBl normrM ler_wpmul2l.
Qed.

End One.

(** ** A6 and A7 *)

Section Update.

Variables (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (V d : I -> S -> F).
Notation gamma := (discount m).
Notation Delta := (reward_range m).
Notation M := (train_mass w).

(** eta, the training return. *)
Notation train_return V := (train_mean w (fun f => return_of m (V f))).

(** zeta, the return over all renderings. *)
Notation general_return V := (general_mean w (fun f => return_of m (V f))).

(** L, the first-order estimate of the training return after an update from [V0], [d0] to [pi1]. *)
Definition surrogate V0 d0 pi1 : F :=
  train_return V0 +
  train_mean w (fun f => \sum_s d0 f s * expect (pi1 f s) (advantage m (V0 f) s)).

(** D_train, the total variation between the policies before and after, on the old occupancies. *)
Definition train_shift d0 pi1 pi0 : F :=
  (1 - gamma) * train_mean w (fun f => \sum_s d0 f s * tv (pi1 f s) (pi0 f s)).

(** A6, both sides. *)
Theorem training_two_sided pi0 V0 d0 pi1 V1 eps :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  (forall f s, in_training w f -> `|expect (pi1 f s) (advantage m (V0 f) s)| <= eps) ->
  `|train_return V1 - surrogate V0 d0 pi1| <=
    2%:R * gamma * eps / (1 - gamma) ^+ 2 * train_shift d0 pi1 pi0.
Proof.
move=> P0 P1 PV0 PV1 Pd0 Peps; have h0 : 1 - gamma != 0 := lt0r_neq0 (horizon_gt0 m).
rewrite /surrogate -train_meanD -train_meanN -train_meanD.
apply: le_trans (train_mean_norm w _) _.
have -> : 2%:R * gamma * eps / (1 - gamma) ^+ 2 * train_shift d0 pi1 pi0 =
    2%:R * gamma * eps / (1 - gamma) *
      train_mean w (fun f => visited_tv (d0 f) (pi1 f) (pi0 f)).
  by rewrite /train_shift -/(visited_tv _ _ _); move: (train_mean _ _) => x; field.
rewrite -train_meanZ; apply: train_mean_le => f fT.
by apply: pair_two_sided (P0 f) (P1 f) (PV0 f) (PV1 f) (Pd0 f) _ => s; apply: Peps.
Qed.

(** A6 *)
Theorem training_bound pi0 V0 d0 pi1 V1 eps :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  (forall f s, in_training w f -> `|expect (pi1 f s) (advantage m (V0 f) s)| <= eps) ->
  surrogate V0 d0 pi1 - 2%:R * gamma * eps / (1 - gamma) ^+ 2 * train_shift d0 pi1 pi0 <=
    train_return V1.
Proof.
move=> P0 P1 PV0 PV1 Pd0 Peps.
have := training_two_sided P0 P1 PV0 PV1 Pd0 Peps.
by rewrite ler_distl => /andP[].
Qed.

(** A7 *)
Theorem generalization_bound pi0 V0 d0 pi1 V1 eps :
  let R := robustness w pi1 in
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  (forall f s, in_training w f -> `|expect (pi1 f s) (advantage m (V0 f) s)| <= eps) ->
  surrogate V0 d0 pi1 - 2%:R * gamma * eps / (1 - gamma) ^+ 2 * train_shift d0 pi1 pi0
    - (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <= general_return V1.
Proof.
move=> R P0 P1 PV0 PV1 Pd0 Peps.
have train := training_bound P0 P1 PV0 PV1 Pd0 Peps.
apply: le_trans (ler_add train (lexx _)) _.
have := gap_sharp w P1 PV1; rewrite /gap ler_distl => /andP[] //.
Qed.

End Update.

(** ** A8 *)

Section Pays.

Variable F : realFieldType.
Implicit Types gamma Delta R M L penalty : F.

(** The difference quotient of A2; as R' tends to R it tends to Delta / (1 - gamma (1 - R))^2. *)
Theorem sharp_difference gamma Delta R R' :
  0 <= gamma -> gamma < 1 -> 0 <= R -> 0 <= R' ->
  sharp gamma Delta R' - sharp gamma Delta R =
    Delta * (R' - R) / ((1 - gamma * (1 - R)) * (1 - gamma * (1 - R'))).
Proof.
move=> g0 g1 R0 R0'; have h0 : 1 - gamma != 0 by rewrite subr_eq0 gt_eqF.
have := lt0r_neq0 (sharp_denominator_gt0 g0 g1 R0).
have := lt0r_neq0 (sharp_denominator_gt0 g0 g1 R0').
by rewrite /sharp => n' n; field; rewrite h0 n n'.
Qed.

(** What the right side of A7 gains where R' falls to R. *)
Theorem robustness_pays_exactly gamma Delta M R R' L penalty :
  0 <= gamma -> gamma < 1 -> 0 <= R -> 0 <= R' ->
  (L - penalty - (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R)))) -
  (L - penalty - (1 - M) * R' * Delta / ((1 - gamma) * (1 - gamma * (1 - R')))) =
    (1 - M) * Delta * (R' - R) / ((1 - gamma * (1 - R)) * (1 - gamma * (1 - R'))).
Proof.
move=> g0 g1 R0 R0'; transitivity ((1 - M) * (sharp gamma Delta R' - sharp gamma Delta R)).
  by rewrite /sharp; ring.
by rewrite sharp_difference // !mulrA.
Qed.

(** A8 *)
Theorem robustness_pays gamma Delta M R R' L penalty :
  0 <= gamma -> gamma < 1 -> 0 < Delta -> M < 1 -> 0 <= R -> R < R' ->
  L - penalty - (1 - M) * R' * Delta / ((1 - gamma) * (1 - gamma * (1 - R'))) <
  L - penalty - (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))).
Proof.
move=> g0 g1 Delta0 M1 R0 RR'; have R0' : 0 <= R' := le_trans R0 (ltW RR').
rewrite -subr_gt0 robustness_pays_exactly //.
by rewrite divr_gt0 ?mulr_gt0 ?sharp_denominator_gt0 // subr_gt0.
Qed.

End Pays.

(** A8 speaks of the bound.  Its literal reading is false: of two policies with the same training
    return, the one with the larger R may generalize better, since its held-out rendering may happen
    to act better than the training one. *)
Theorem literal_reading_is_false (F : realFieldType) (gamma : F) :
  0 <= gamma -> gamma < 1 ->
  exists (m : mdp F unitF boolF) (w : family F boolF) (pi pi' : boolF -> unitF -> boolF -> F),
  [/\ discount m = gamma,
      [/\ in_training w true, ~~ in_training w false,
          weight w true = 1 / 2%:R & weight w false = 1 / 2%:R],
      (forall f, policy (pi f)) /\ (forall f, policy (pi' f)),
      robustness w pi < robustness w pi' &
      forall V V' : boolF -> unitF -> F,
        (forall f, is_value m (pi f) (V f)) -> (forall f, is_value m (pi' f) (V' f)) ->
        let J f := return_of m (V f) in
        let J' f := return_of m (V' f) in
        train_mean w J = train_mean w J' /\ general_mean w J < general_mean w J'].
Proof.
move=> g0 g1; have h0 : 0 < 1 - gamma by rewrite subr_gt0.
have half0 : 0 < 1 / 2%:R :> F by rewrite divr_gt0 ?ltr01 ?ltr0Sn.
have half1 : 1 / 2%:R < 1 :> F by rewrite ltr_pdivr_mulr ?ltr0Sn // mul1r ltr1n.
(* Action [true] pays 1, [false] 0; pi always takes [false], pi' takes [true] where held out. *)
pose m := world tt (fun _ _ => tt) (fun _ a => a) g0 g1 (@ler01 F).
pose w := two half0 (ltW half1).
pose bad (f : boolF) : F := if f then 1 else 0.
have value x V : is_value m (fun _ => coin x) V -> return_of m V = (1 - x) / (1 - gamma).
  rewrite world_return => /(world_value (x := fun _ => x))/(_ tt) /= Vx.
  apply: (canRL (mulfK (lt0r_neq0 h0))); rewrite mulrBr mulr1 {1}Vx; ring.
exists m, w, (fun _ _ => coin 1), (fun f _ => coin (bad f)).
split=> //.
- by split=> //=; field.
- by split=> f s; apply: coin_dist; rewrite /bad; case: f; rewrite ?lexx ?ler01.
- rewrite (two_robustness _ _ tt (R := 0)) ?(two_robustness _ _ tt (R := 1)) ?ltr01 // => s.
    by rewrite tv_coin subr0 normr1.
  exact: tvxx.
move=> V V' PV PV' J J'; rewrite !two_train_mean !two_general_mean /J /J'.
rewrite !(value _ _ (PV _)) !(value _ _ (PV' _)) /bad subr0 subrr; split=> //.
by rewrite ltr_add2l ltr_pmul2l ?subr_gt0 // ltr_pmul2r ?invr_gt0 ?ltr01.
Qed.

(** ** The largest expected advantage, and A8 as a slope *)

Section Largest.

Variables (F : realFieldType) (I S A : finType) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (V d : I -> S -> F).
Notation gamma := (discount m).
Notation Delta := (reward_range m).
Notation M := (train_mass w).

(** epsilon, the largest absolute expected advantage in a training rendering. *)
Definition advantage_bound V0 pi1 : F :=
  \big[Num.max/0]_(f | in_training w f) \big[Num.max/0]_s
    `|expect (pi1 f s) (advantage m (V0 f) s)|.

Lemma advantage_le_bound V0 pi1 f s :
  in_training w f -> `|expect (pi1 f s) (advantage m (V0 f) s)| <= advantage_bound V0 pi1.
Proof.
move=> fT; apply: le_trans (le_bigmax (P := in_training w) (fun f => _) fT).
exact: (le_bigmax (P := xpredT) (fun s => `|expect (pi1 f s) (advantage m (V0 f) s)|)).
Qed.

Theorem training_two_sided_max pi0 V0 d0 pi1 V1 :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  `|train_mean w (fun f => return_of m (V1 f)) - surrogate m w V0 d0 pi1| <=
    2%:R * gamma * advantage_bound V0 pi1 / (1 - gamma) ^+ 2 * train_shift m w d0 pi1 pi0.
Proof.
by move=> P0 P1 PV0 PV1 Pd0; apply: training_two_sided => // f s; apply: advantage_le_bound.
Qed.

Theorem training_bound_max pi0 V0 d0 pi1 V1 :
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  surrogate m w V0 d0 pi1 -
    2%:R * gamma * advantage_bound V0 pi1 / (1 - gamma) ^+ 2 * train_shift m w d0 pi1 pi0 <=
  train_mean w (fun f => return_of m (V1 f)).
Proof.
by move=> P0 P1 PV0 PV1 Pd0; apply: training_bound => // f s; apply: advantage_le_bound.
Qed.

Theorem generalization_bound_max pi0 V0 d0 pi1 V1 :
  let R := robustness w pi1 in
  (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_value m (pi0 f) (V0 f)) -> (forall f, is_value m (pi1 f) (V1 f)) ->
  (forall f, is_occupancy m (pi0 f) (d0 f)) ->
  surrogate m w V0 d0 pi1 -
    2%:R * gamma * advantage_bound V0 pi1 / (1 - gamma) ^+ 2 * train_shift m w d0 pi1 pi0
    - (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R))) <=
  general_mean w (fun f => return_of m (V1 f)).
Proof.
by move=> R P0 P1 PV0 PV1 Pd0; apply: generalization_bound => // f s; apply: advantage_le_bound.
Qed.

End Largest.

(** The difference of the right side of A7, and its sign, as a slope. *)
Lemma robustness_pays_slope (F : realFieldType) (gamma Delta M R R' L penalty : F) :
  0 <= gamma -> gamma < 1 -> 0 <= R -> 0 <= R' ->
  (L - penalty - (1 - M) * R' * Delta / ((1 - gamma) * (1 - gamma * (1 - R')))) -
  (L - penalty - (1 - M) * R * Delta / ((1 - gamma) * (1 - gamma * (1 - R)))) =
    (R' - R) * (- (1 - M) * Delta / ((1 - gamma * (1 - R)) * (1 - gamma * (1 - R')))).
Proof.
move=> g0 g1 R0 R0'; rewrite robustness_pays_exactly //.
by rewrite (mulrC (1 - gamma * (1 - R'))); move: (_ * _)^-1 => x; ring.
Qed.

Lemma slope_lt0 (F : realFieldType) (gamma Delta M R R' : F) :
  0 <= gamma -> gamma < 1 -> 0 < Delta -> M < 1 -> 0 <= R -> 0 <= R' ->
  - (1 - M) * Delta / ((1 - gamma * (1 - R)) * (1 - gamma * (1 - R'))) < 0.
Proof.
move=> g0 g1 D0 M1 R0 R0'; rewrite !mulNr oppr_lt0 divr_gt0 ?mulr_gt0 ?sharp_denominator_gt0 //.
by rewrite subr_gt0.
Qed.
