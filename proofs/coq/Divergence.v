(** B2 and B3: what a divergence says about total variation, so about robustness.

    The logarithm is abstract, as an ordered field need not have one: two of its properties are
    enough. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Values Robustness Gap Distillation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** The logarithm *)

(** The real logarithm has both properties.  For the second let
    phi(x) = ln x - 5/2 + 1/(4x) + 27/(4(x+2)).  Then phi(1) = 0 and
    phi'(x) = 1/x - 1/(4x^2) - 27/(4(x+2)^2) = (x-1)^3 / (x^2 (x+2)^2),
    so phi falls until x = 1 and rises after it. *)
Definition logarithm (F : realFieldType) (lg : F -> F) : Prop :=
  (forall x y, 0 < x -> 0 < y -> lg (x * y) = lg x + lg y) /\
  (forall x, 0 < x ->
     5%:R / 2%:R - 1 / (4%:R * x) - 27%:R / (4%:R * (x + 2%:R)) <= lg x).

Section Logarithm.

Variables (F : realFieldType) (lg : F -> F).
Hypothesis lgP : logarithm lg.
Implicit Types x y p q : F.

Lemma lgM x y : 0 < x -> 0 < y -> lg (x * y) = lg x + lg y.
Proof. by case: lgP => M _; apply: M. Qed.

Lemma lg_ge x :
  0 < x -> 5%:R / 2%:R - 1 / (4%:R * x) - 27%:R / (4%:R * (x + 2%:R)) <= lg x.
Proof. by case: lgP => _; apply. Qed.

Lemma lg1 : lg 1 = 0.
Proof. by apply: (@addrI _ (lg 1)); rewrite -lgM ?ltr01 // mulr1 addr0. Qed.

Lemma lgV x : 0 < x -> lg x^-1 = - lg x.
Proof.
move=> x0; apply: (@addrI _ (lg x)).
by rewrite -lgM ?invr_gt0 // divff ?gt_eqF // lg1 subrr.
Qed.

Lemma lg_le x : 0 < x -> lg x <= x - 1.
Proof.
move=> x0; have x'0 : 0 < x^-1 by rewrite invr_gt0.
have y0 : 0 < 1 + 2%:R * x by rewrite addr_gt0 ?mulr_gt0 ?ltr01 ?ltr0n.
rewrite -[x in lg x]invrK lgV // ler_oppl; apply: le_trans (lg_ge x'0); rewrite -subr_ge0.
have -> : 5%:R / 2%:R - 1 / (4%:R * x^-1) - 27%:R / (4%:R * (x^-1 + 2%:R)) - - (x - 1) =
    6%:R * (x - 1) ^+ 2 / (4%:R * (1 + 2%:R * x)).
  by field; rewrite !gt_eqF //.
by apply: divr_ge0 (mulr_ge0 _ (sqr_ge0 _)) (mulr_ge0 _ (ltW y0)); apply: ler0n.
Qed.

Lemma lg_lt x y : 0 < x -> x < y -> lg x < lg y.
Proof.
move=> x0 xy; have y0 := lt_trans x0 xy; have xy0 : 0 < x / y by rewrite divr_gt0.
rewrite -{1}(divfK (lt0r_neq0 y0) x) lgM // -subr_lt0 addrK.
by apply: le_lt_trans (lg_le xy0) _; rewrite subr_lt0 ltr_pdivr_mulr ?mul1r.
Qed.

(** A term of the divergence, for probabilities [p] and [q]. *)
Lemma kl_term_ge p q :
  0 <= p -> 0 <= q -> (0 < p -> 0 < q) ->
  p - q + 3%:R * (p - q) ^+ 2 / (2%:R * (p + 2%:R * q)) <= p * lg (p / q).
Proof.
rewrite le_eqVlt => /predU1P[<- q0 _|p0 q0 /(_ p0) {}q0].
  rewrite !sub0r add0r mul0r sqrrN -subr_ge0 sub0r.
  have [->|q_neq0] := eqVneq q 0; first by rewrite !(mulr0, mul0r, expr0n, oppr0, addr0).
  have -> : - (- q + 3%:R * q ^+ 2 / (2%:R * (2%:R * q))) = q / 4%:R by field.
  by rewrite divr_ge0 ?ler0n.
have -> : p - q + 3%:R * (p - q) ^+ 2 / (2%:R * (p + 2%:R * q)) =
    p * (5%:R / 2%:R - 1 / (4%:R * (p / q)) - 27%:R / (4%:R * (p / q + 2%:R))).
  by field; rewrite !gt_eqF // addr_gt0 ?mulr_gt0 ?ltr0n.
by rewrite ler_pmul2l // lg_ge ?divr_gt0.
Qed.

End Logarithm.

(** ** B2: divergence bounds total variation *)

(** [q] may be zero only where [p] is. *)
Definition supported (F : realFieldType) (A : finType) (p q : A -> F) : Prop :=
  forall a, 0 < p a -> 0 < q a.

Section Divergence.

Variables (F : realFieldType) (A : finType) (lg : F -> F).
Implicit Types (p q : A -> F) (D : F).

(** With [d = p - q] and [w = p + 2q], of sum 3, the term bound and [2 t |d| - t^2 w <= d^2 / w]
    for [t] a third of [\sum_a |d|] sum to the claim. *)
Theorem pinsker p q :
  logarithm lg -> dist p -> dist q -> supported p q -> 2%:R * tv p q ^+ 2 <= kl lg p q.
Proof.
move=> lgP [p0 p1] [q0 q1] pq; set D := \sum_a `|p a - q a|; pose t := D / 3%:R.
have -> : 2%:R * tv p q ^+ 2 = \sum_a (p a - q a +
    3%:R / 2%:R * (2%:R * t * `|p a - q a| - t ^+ 2 * (p a + 2%:R * q a))).
  rewrite big_split sumrB -mulr_sumr sumrB -!mulr_sumr big_split -mulr_sumr p1 q1 /tv -/D /= /t.
  by field.
apply: ler_sum => a _; apply: le_trans (kl_term_ge lgP (p0 a) (q0 a) (pq a)).
rewrite ler_add2l.
have : 0 <= p a + 2%:R * q a by rewrite addr_ge0 ?mulr_ge0 ?ler0n.
rewrite le_eqVlt => /predU1P[w0|w0].
  have [pa0 qa0] : p a = 0 /\ q a = 0.
    have := esym w0; move/eqP; rewrite paddr_eq0 ?mulr_ge0 ?ler0n //.
    by rewrite mulf_eq0 pnatr_eq0 /= => /andP[/eqP-> /eqP->].
  by rewrite pa0 qa0 !(subr0, mulr0, addr0, normr0, expr0n, mul0r).
set d := `|_|; set w := p a + _ in w0 *; rewrite -(real_normK (num_real (p a - q a))) -/d -subr_ge0.
have -> : 3%:R * d ^+ 2 / (2%:R * w) - 3%:R / 2%:R * (2%:R * t * d - t ^+ 2 * w) =
    3%:R / 2%:R * ((d - t * w) ^+ 2 / w) by field; rewrite gt_eqF.
by rewrite mulr_ge0 ?divr_ge0 ?sqr_ge0 ?ler0n // ltW.
Qed.

Corollary kl_ge0 p q : logarithm lg -> dist p -> dist q -> supported p q -> 0 <= kl lg p q.
Proof.
move=> lgP pP qP pq; apply: le_trans (pinsker lgP pP qP pq).
by rewrite mulr_ge0 ?sqr_ge0 ?ler0n.
Qed.

Lemma tv_lt1 p q : dist p -> dist q -> supported p q -> tv p q < 1.
Proof.
move=> pP qP pq; have [[p0 p1] [q0 _]] := (pP, qP).
have min0 a : 0 <= Num.min (p a) (q a) by rewrite le_minr p0 q0.
rewrite -subr_gt0 -(sum_min pP qP) lt_neqAle sumr_ge0 // andbT eq_sym.
apply/negP => /eqP /psumr_eq0P noMin.
have pa0 a : p a = 0.
  apply/eqP; apply: contraT => pa; have {pa} pa : 0 < p a by rewrite lt_neqAle eq_sym pa p0.
  have : 0 < Num.min (p a) (q a) by rewrite lt_minr pa pq.
  by rewrite noMin ?ltxx.
by have /eqP := p1; rewrite big1 // eq_sym oner_eq0.
Qed.

(** With exp this reads [tv p q <= sqrt (1 - exp (- kl lg p q))]. *)
Theorem bretagnolle_huber p q :
  logarithm lg -> dist p -> dist q -> supported p q ->
  tv p q < 1 /\ - lg (1 - tv p q ^+ 2) <= kl lg p q.
Proof.
move=> lgP pP qP pq; have t1 := tv_lt1 pP qP pq; split=> //.
have [[p0 p1] [q0 q1]] := (pP, qP).
have t0 := tv_ge0 p q; set t := tv p q in t0 t1 *.
have tl : 0 < 1 - t by rewrite subr_gt0.
have tr : 0 < 1 + t by rewrite ltr_spaddl ?ltr01.
have tE : 1 - t ^+ 2 = (1 - t) * (1 + t) by ring.
have t2 : 0 < 1 - t ^+ 2 by rewrite tE mulr_gt0.
pose lo a := Num.min (p a) (q a); pose hi a := Num.max (p a) (q a).
have lo_sum : \sum_a lo a = 1 - t by apply: sum_min.
have hi_sum : \sum_a hi a = 1 + t.
  apply: (@addrI _ (\sum_a lo a)); rewrite -big_split lo_sum /=.
  rewrite (eq_bigr (fun a => p a + q a)) => [|a _]; last exact: addr_min_max.
  by rewrite big_split /= p1 q1; ring.
have lohi a : lo a * hi a = p a * q a by rewrite /lo /hi; case: leP => // _; rewrite mulrC.
suff term a : - (p a * lg (p a / q a)) - p a * lg (1 - t ^+ 2) <=
    lo a / (1 - t) + hi a / (1 + t) - 2%:R * p a.
  rewrite -subr_le0 addrC.
  have -> : - kl lg p q - lg (1 - t ^+ 2) =
      \sum_a (- (p a * lg (p a / q a)) - p a * lg (1 - t ^+ 2)).
    by rewrite sumrB sumrN -mulr_suml p1 mul1r.
  apply: le_trans (ler_sum _ (fun a _ => term a)) _; rewrite sumrB big_split /=.
  by rewrite -!mulr_suml -mulr_sumr lo_sum hi_sum p1 !divff ?gt_eqF // mulr1 subrr.
have [pa|] := boolP (0 < p a); last first.
  rewrite lt_neqAle p0 andbT negbK eq_sym => /eqP pa.
  rewrite pa !(mul0r, mulr0, oppr0, addr0) addr_ge0 // divr_ge0 ?(ltW tl) ?(ltW tr) //.
    by rewrite le_minr p0 q0.
  by rewrite le_maxr p0.
have qa := pq a pa.
set x := lo a / (1 - t) / p a; set y := hi a / (1 + t) / p a.
have x0 : 0 < x by rewrite !divr_gt0 // lt_minr pa qa.
have y0 : 0 < y by rewrite !divr_gt0 // lt_maxr pa.
have xy : x * y = (p a / q a * (1 - t ^+ 2))^-1.
  have -> : x * y = lo a * hi a / (1 - t) / (1 + t) / p a ^+ 2.
    by rewrite /x /y; field; rewrite !gt_eqF.
  by rewrite lohi tE; field; rewrite !gt_eqF.
have -> : - (p a * lg (p a / q a)) - p a * lg (1 - t ^+ 2) = p a * (lg x + lg y).
  rewrite -(lgM lgP) // xy (lgV lgP) ?(lgM lgP _ t2) ?mulr_gt0 ?invr_gt0 //.
  by rewrite mulrN mulrDr opprD.
have -> : lo a / (1 - t) + hi a / (1 + t) - 2%:R * p a = p a * (x - 1 + (y - 1)).
  by rewrite /x /y; field; rewrite !gt_eqF.
by rewrite ler_pmul2l // ler_add ?lg_le.
Qed.

(** Support is needed: with [lg 0 = 0], a usual convention, the divergence of two distributions that
    have nothing in common would be 0, as 1 / 0 = 0 here. *)
Lemma support_needed :
  lg 0 = 0 -> exists p q : bool -> F, [/\ dist p, dist q, tv p q = 1 & kl lg p q = 0].
Proof.
move=> lg0; exists (point F true), (point F false).
split; [exact: point_dist | exact: point_dist | exact: tv_point |].
by rewrite /kl big_bool /point /= invr0 mulr0 lg0 mulr0 mul0r addr0.
Qed.

(** Both bounds, read as: a small divergence makes total variation small. *)

Lemma pinsker_le p q D :
  logarithm lg -> dist p -> dist q -> supported p q ->
  0 <= D -> kl lg p q <= 2%:R * D ^+ 2 -> tv p q <= D.
Proof.
move=> lgP pP qP pq D0 klD; have := le_trans (pinsker lgP pP qP pq) klD.
by rewrite ler_pmul2l ?ltr0n // ler_sqr ?nnegrE // tv_ge0.
Qed.

Lemma bretagnolle_huber_le p q D :
  logarithm lg -> dist p -> dist q -> supported p q ->
  0 <= D -> kl lg p q <= - lg (1 - D ^+ 2) -> tv p q <= D.
Proof.
move=> lgP pP qP pq D0 klD; have [t1 klt] := bretagnolle_huber lgP pP qP pq.
rewrite leNgt; apply/negP => Dt; have := le_trans klt klD.
rewrite ler_opp2 leNgt lg_lt // ?subr_gt0.
  by rewrite expr_lt1 ?tv_ge0.
by rewrite ltr_add2l ltr_opp2 ltr_sqr ?nnegrE // tv_ge0.
Qed.

End Divergence.

(** ** B1 with B2: the distillation loss bounds robustness *)

Section Loss.

Variables (F : realFieldType) (I S A : finType) (lg : F -> F) (w : family F I).
Variables (pi1 pi2 : I -> S -> A -> F) (D : F).

(** If no state has a divergence above 2 D^2. *)
Corollary pinsker_robustness :
  logarithm lg -> (forall f, policy (pi1 f)) -> (forall f, policy (pi2 f)) ->
  (forall f s, supported (pi1 f s) (pi2 f s)) ->
  0 <= D -> (forall f s, kl lg (pi1 f s) (pi2 f s) <= 2%:R * D ^+ 2) ->
  robustness w pi1 <= robustness w pi2 + 2%:R * D.
Proof.
move=> lgP P1 P2 P12 D0 klD; apply: le_trans (agreement _ _ pi2) _.
rewrite ler_add2l ler_pmul2l ?ltr0n //; apply: disagreement_le => // f s.
by apply: (pinsker_le lgP) => //; [apply: P1 | apply: P2].
Qed.

(** If no state has a divergence above - lg (1 - D^2). *)
Corollary bretagnolle_huber_robustness :
  logarithm lg -> (forall f, policy (pi1 f)) -> (forall f, policy (pi2 f)) ->
  (forall f s, supported (pi1 f s) (pi2 f s)) ->
  0 <= D -> (forall f s, kl lg (pi1 f s) (pi2 f s) <= - lg (1 - D ^+ 2)) ->
  robustness w pi1 <= robustness w pi2 + 2%:R * D.
Proof.
move=> lgP P1 P2 P12 D0 klD; apply: le_trans (agreement _ _ pi2) _.
rewrite ler_add2l ler_pmul2l ?ltr0n //; apply: disagreement_le => // f s.
by apply: (bretagnolle_huber_le lgP) => //; [apply: P1 | apply: P2].
Qed.

End Loss.

(** ** B3: averages *)

(** [v] is the on-policy distribution: the average divergence, which is what training logs, bounds
    the average total variation. *)
Theorem average_pinsker (F : realFieldType) (X A : finType) (lg : F -> F) (v : X -> F)
    (p q : X -> A -> F) :
  logarithm lg -> dist v -> (forall x, dist (p x)) -> (forall x, dist (q x)) ->
  (forall x, 0 < v x -> supported (p x) (q x)) ->
  2%:R * expect v (fun x => tv (p x) (q x)) ^+ 2 <= expect v (fun x => kl lg (p x) (q x)).
Proof.
move=> lgP [v0 v1] pP qP pq; set e := expect v _.
have -> : 2%:R * e ^+ 2 = \sum_x v x * (2%:R * (2%:R * e * tv (p x) (q x) - e ^+ 2)).
  under eq_bigr do rewrite mulrCA mulrBr mulrCA.
  by rewrite -mulr_sumr sumrB -mulr_sumr -mulr_suml v1 -/(expect v _) -/e; ring.
apply: ler_sum => x _; have := v0 x; rewrite le_eqVlt => /predU1P[<-|vx].
  by rewrite !mul0r.
rewrite ler_pmul2l //; apply: le_trans (pinsker lgP (pP x) (qP x) (pq x vx)).
rewrite ler_pmul2l ?ltr0n // -subr_ge0.
have -> : tv (p x) (q x) ^+ 2 - (2%:R * e * tv (p x) (q x) - e ^+ 2) =
    (tv (p x) (q x) - e) ^+ 2 by ring.
exact: sqr_ge0.
Qed.

(** ** The largest divergence, and the one that training logs *)

Section Largest.

Variables (F : realFieldType) (I S A : finType) (lg : F -> F).
Implicit Types pi : I -> S -> A -> F.

(** The largest divergence of [pi0] from [pi1], over all renderings and states. *)
Definition divergence pi0 pi1 : F :=
  \big[Num.max/0]_f \big[Num.max/0]_s kl lg (pi0 f s) (pi1 f s).

Lemma kl_le_divergence pi0 pi1 f s : kl lg (pi0 f s) (pi1 f s) <= divergence pi0 pi1.
Proof.
apply: le_trans (le_bigmax (P := xpredT) (fun f => _) (erefl : xpredT f)).
exact: (le_bigmax (P := xpredT) (fun s => kl lg (pi0 f s) (pi1 f s))).
Qed.

Theorem divergence_disagreement pi0 pi1 :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f s, supported (pi0 f s) (pi1 f s)) ->
  2%:R * disagreement pi1 pi0 ^+ 2 <= divergence pi0 pi1 /\
  - lg (1 - disagreement pi1 pi0 ^+ 2) <= divergence pi0 pi1.
Proof.
move=> lgP P0 P1 P01; rewrite disagreementC; have [->|[f [s ->]]] := disagreement_attained pi0 pi1.
  by rewrite expr0n subr0 (lg1 lgP) mulr0 oppr0 bigmax_ge0.
have kl_le := kl_le_divergence pi0 pi1 f s; split.
  by apply: le_trans kl_le; apply: pinsker => //; [apply: P0 | apply: P1].
apply: le_trans kl_le.
by have [] := bretagnolle_huber lgP (P0 f s) (P1 f s) (P01 f s).
Qed.

(** With B1: the largest divergence bounds robustness. *)
Corollary divergence_robustness (w : family F I) pi0 pi1 D :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f s, supported (pi0 f s) (pi1 f s)) -> 0 <= D ->
  divergence pi0 pi1 <= 2%:R * D ^+ 2 \/ divergence pi0 pi1 <= - lg (1 - D ^+ 2) ->
  robustness w pi1 <= robustness w pi0 + 2%:R * D.
Proof.
move=> lgP P0 P1 P01 D0 small; apply: le_trans (agreement w pi1 pi0) _.
rewrite ler_add2l ler_pmul2l ?ltr0n //; apply: disagreement_le => // f s; rewrite tvC.
case: small => /(le_trans (kl_le_divergence pi0 pi1 f s)) klD.
  by apply: (pinsker_le lgP) klD => //; [apply: P0 | apply: P1].
by apply: (bretagnolle_huber_le lgP) klD => //; [apply: P0 | apply: P1].
Qed.

End Largest.

Section OnPolicy.

Variables (F : realFieldType) (I S A : finType) (lg : F -> F) (m : mdp F S A) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (d : I -> S -> F).

(** On the states that the policy [pi1], of occupancy [d], visits in training. *)
Definition mean_disagreement d pi0 pi1 : F :=
  (1 - discount m) * train_mean w (fun f => \sum_s d f s * tv (pi1 f s) (pi0 f s)).
Definition mean_divergence d pi0 pi1 : F :=
  (1 - discount m) * train_mean w (fun f => \sum_s d f s * kl lg (pi0 f s) (pi1 f s)).

(** The probability of a rendering and a state on policy, in training. *)
Definition visited d (i : I * S) : F :=
  if in_training w i.1 then weight w i.1 / train_mass w * ((1 - discount m) * d i.1 i.2) else 0.

Lemma expect_visited d (x : I -> S -> F) :
  (1 - discount m) * train_mean w (fun f => \sum_s d f s * x f s) =
    expect (visited d) (fun i => x i.1 i.2).
Proof.
rewrite /expect -(pair_bigA _ (fun f s => visited d (f, s) * x f s)) /=.
have -> : \sum_f \sum_s visited d (f, s) * x f s =
    \sum_(f | in_training w f) \sum_s visited d (f, s) * x f s.
  rewrite [RHS]big_mkcond; apply: eq_bigr => f _; case: ifP => // fH.
  by apply: big1 => s _; rewrite /visited /= fH mul0r.
rewrite /train_mean mulr_suml mulr_sumr; apply: eq_bigr => f fT.
rewrite mulr_sumr mulr_suml mulr_sumr; apply: eq_bigr => s _; rewrite /visited /= fT.
by move: (train_mass w)^-1 => y; ring.
Qed.

Lemma visited_dist d pi : (forall f, policy (pi f)) -> (forall f, is_occupancy m (pi f) (d f)) ->
  dist (visited d).
Proof.
move=> P Pd; split=> [[f s]|].
  rewrite /visited /=; case: ifP => // fT.
  rewrite mulr_ge0 ?divr_ge0 ?(weight_ge0 w) ?(ltW (train_mass_gt0 w)) //.
  by rewrite mulr_ge0 ?(ltW (horizon_gt0 m)) ?(occupancy_ge0 s (P f) (Pd f)).
have := expect_visited d (fun _ _ => 1); rewrite /expect.
under [in RHS]eq_bigr do rewrite mulr1.
move=> <-; rewrite /train_mean; under eq_bigr => f _.
  rewrite (eq_bigr (d f)) => [|s _]; last by rewrite mulr1.
  by rewrite (occupancy_mass (P f) (Pd f)); over.
rewrite -mulr_suml -/(train_mass w); field.
by rewrite (lt0r_neq0 (train_mass_gt0 w)) (lt0r_neq0 (horizon_gt0 m)).
Qed.

Theorem average_pinsker_on_policy d pi0 pi1 :
  logarithm lg -> (forall f, policy (pi0 f)) -> (forall f, policy (pi1 f)) ->
  (forall f, is_occupancy m (pi1 f) (d f)) ->
  (forall f s, in_training w f -> supported (pi0 f s) (pi1 f s)) ->
  2%:R * mean_disagreement d pi0 pi1 ^+ 2 <= mean_divergence d pi0 pi1.
Proof.
move=> lgP P0 P1 Pd P01.
rewrite /mean_disagreement /mean_divergence !expect_visited.
under [X in X ^+ 2]eq_bigr do rewrite tvC.
apply: (average_pinsker (p := fun i => pi0 i.1 i.2) (q := fun i => pi1 i.1 i.2)) => //.
- exact: visited_dist P1 Pd.
- by move=> i; apply: P0.
- by move=> i; apply: P1.
- by move=> [f s]; rewrite /visited /=; case: ifP => [fT _|]; [apply: P01 | rewrite ltxx].
Qed.

End OnPolicy.
