(** B5: two softmax distributions differ by at most tanh of a quarter of the oscillation of their
    logits' difference, and can differ by that much.

    No exponential is needed.  For logits z and z' let u a = exp (z a) and u' a = exp (z' a); then
    the least [c] with [u a * u' b <= c ^+ 2 * (u' a * u b)] for all [a] and [b] is
    c = exp (osc (z - z') / 2), and [(c - 1) / (c + 1)] is tanh (osc (z - z') / 4). *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Robustness.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** The softmax of logits is the normalisation of their exponentials. *)
Definition normalised (F : realFieldType) (A : finType) (u : A -> F) : A -> F :=
  fun a => u a / \sum_b u b.

Lemma normalised_dist (F : realFieldType) (A : finType) (u : A -> F) (a : A) :
  (forall a, 0 < u a) -> dist (normalised u).
Proof.
move=> u0; have U0 : 0 < \sum_b u b.
  by rewrite (bigD1 a) //= ltr_spaddl ?u0 // sumr_ge0 // => b _; apply: ltW.
by split=> [b|]; rewrite /normalised ?divr_ge0 ?ltW // -mulr_suml divff ?gt_eqF.
Qed.

(** The odds of an event, [x] to [xc] under one distribution and [y] to [yc] under the other, differ
    by a factor of at most [c ^+ 2]: then its probabilities differ by at most (c - 1) / (c + 1). *)
Lemma odds_bound (F : realFieldType) (c x xc y yc : F) :
  1 <= c -> 0 <= x -> 0 <= xc -> 0 <= y -> 0 <= yc ->
  x * yc <= c ^+ 2 * (xc * y) ->
  (x * (y + yc) - y * (x + xc)) * (c + 1) <= (c - 1) * ((x + xc) * (y + yc)).
Proof.
move=> c1 x0 xc0 y0 yc0 odds; have c0 : 0 <= c := le_trans ler01 c1.
set a := x * yc in odds *; set b := xc * y in odds *; pose m := x * y + xc * yc.
have b0 : 0 <= b by rewrite mulr_ge0.
have m0 : 0 <= m by rewrite addr_ge0 ?mulr_ge0.
have mE : 4%:R * (a * b) <= m ^+ 2.
  rewrite -subr_ge0; have -> : m ^+ 2 - 4%:R * (a * b) = (x * y - xc * yc) ^+ 2.
    by rewrite /m /a /b; ring.
  exact: sqr_ge0.
suff half : 2%:R * (a - c * b) <= (c - 1) * m.
  rewrite -subr_ge0.
  have -> : (c - 1) * ((x + xc) * (y + yc)) - (x * (y + yc) - y * (x + xc)) * (c + 1) =
      (c - 1) * m - 2%:R * (a - c * b) by rewrite /m /a /b; ring.
  by rewrite subr_ge0.
have [acb|cba] := leP a (c * b).
  apply: (@le_trans _ _ 0); last by rewrite mulr_ge0 ?subr_ge0.
  by rewrite pmulr_rle0 ?ltr0n // subr_le0.
have ab : b <= a by apply: le_trans (ltW cba); rewrite ler_pemull.
rewrite -ler_sqr ?nnegrE ?mulr_ge0 ?subr_ge0 ?ler0n ?(ltW cba) // !exprMn.
apply: le_trans (ler_wpmul2l (sqr_ge0 _) mE); rewrite -subr_ge0.
have -> : (c - 1) ^+ 2 * (4%:R * (a * b)) - 2%:R ^+ 2 * (a - c * b) ^+ 2 =
    4%:R * ((a - b) * (c ^+ 2 * b - a)) by ring.
by rewrite !mulr_ge0 ?subr_ge0 ?ler0n.
Qed.

Theorem softmax_tv (F : realFieldType) (A : finType) (u u' : A -> F) (c : F) :
  (forall a, 0 < u a) -> (forall a, 0 < u' a) -> 1 <= c ->
  (forall a b, u a * u' b <= c ^+ 2 * (u' a * u b)) ->
  tv (normalised u) (normalised u') <= (c - 1) / (c + 1).
Proof.
move=> u0 u'0 c1 odds; have c0 : 0 < c + 1 by rewrite ltr_spaddr ?ltr01 ?(le_trans ler01).
have [a _|noA] := pickP (@predT A); last first.
  by rewrite /tv big_pred0 // mul0r divr_ge0 ?subr_ge0 ?(ltW c0).
have [B ->] := tv_test (normalised_dist a u0) (normalised_dist a u'0).
have pos (v : A -> F) (P : pred A) : (forall a, 0 < v a) -> 0 <= \sum_(a | P a) v a.
  by move=> v0; apply: sumr_ge0 => b _; apply: ltW.
have split_sum (v : A -> F) : \sum_b v b = \sum_(b | B b) v b + \sum_(b | ~~ B b) v b.
  exact: bigID.
have total (v : A -> F) : (forall a, 0 < v a) -> 0 < \sum_b v b.
  by move=> v0; rewrite (bigD1 a) //= ltr_spaddl ?v0 ?pos.
have U0 := total u u0; have U'0 := total u' u'0.
have cross : (\sum_(b | B b) u b) * (\sum_(b | ~~ B b) u' b) <=
    c ^+ 2 * ((\sum_(b | ~~ B b) u b) * (\sum_(b | B b) u' b)).
  rewrite (mulrC (\sum_(b | ~~ B b) u b)) !mulr_suml mulr_sumr; apply: ler_sum => b _.
  by rewrite !mulr_sumr; apply: ler_sum => b' _.
have := odds_bound c1 (pos u B u0) (pos u _ u0) (pos u' B u'0) (pos u' _ u'0) cross.
rewrite -!split_sum /normalised -!mulr_suml ler_pdivl_mulr //.
set U := \sum_b u b in U0 *; set U' := \sum_b u' b in U'0 *.
set x := \sum_(b | B b) u b; set y := \sum_(b | B b) u' b => le.
have -> : (x / U - y / U') * (c + 1) = (x * U' - y * U) * (c + 1) / (U * U').
  by field; rewrite !gt_eqF.
by rewrite ler_pdivr_mulr ?mulr_gt0.
Qed.

(** Two actions attain it. *)
Theorem softmax_tv_attained (F : realFieldType) (c : F) :
  1 <= c ->
  exists u u' : bool -> F,
    [/\ forall a, 0 < u a, forall a, 0 < u' a,
        forall a b, u a * u' b <= c ^+ 2 * (u' a * u b) &
        tv (normalised u) (normalised u') = (c - 1) / (c + 1)].
Proof.
move=> c1; have c0 : 0 < c := lt_le_trans ltr01 c1.
exists (fun a => if a then c else 1), (fun a => if a then 1 else c).
split=> [[]|[]|[] []|]; rewrite /= ?ltr01 //.
- by rewrite mul1r mulr1 ler_pemull ?exprn_ege1 ?(ltW c0).
- by rewrite !mulr1.
- by rewrite mul1r -expr2 mulr_ege1 ?exprn_ege1.
- by rewrite mulr1 mul1r ler_pemull ?exprn_ege1 ?(ltW c0).
have d0 : 0 < c + 1 by rewrite addr_gt0 ?ltr01.
rewrite /tv /normalised !big_bool /= (addrC 1 c) -!mulrBl !normrM !(distrC 1 c).
rewrite ger0_norm ?subr_ge0 // ger0_norm ?invr_ge0 ?(ltW d0) //.
by field; rewrite gt_eqF.
Qed.

(** ** Policies *)

(** If, in every rendering and state, the odds of any two actions differ by a factor of at most
    [c ^+ 2]. *)
Corollary softmax_disagreement (F : realFieldType) (I S A : finType) (u u' : I -> S -> A -> F) c :
  (forall f s a, 0 < u f s a) -> (forall f s a, 0 < u' f s a) -> 1 <= c ->
  (forall f s a b, u f s a * u' f s b <= c ^+ 2 * (u' f s a * u f s b)) ->
  disagreement (fun f s => normalised (u f s)) (fun f s => normalised (u' f s)) <=
    (c - 1) / (c + 1).
Proof.
move=> u0 u'0 c1 odds; apply: disagreement_le => [|f s]; last exact: softmax_tv.
by rewrite divr_ge0 ?subr_ge0 // addr_ge0 // (le_trans ler01).
Qed.

Corollary softmax_robustness (F : realFieldType) (I S A : finType) (w : family F I)
    (u : I -> S -> A -> F) c :
  (forall f s a, 0 < u f s a) -> 1 <= c ->
  (forall f g s a b, in_training w f -> ~~ in_training w g ->
     u f s a * u g s b <= c ^+ 2 * (u g s a * u f s b)) ->
  robustness w (fun f s => normalised (u f s)) <= (c - 1) / (c + 1).
Proof.
move=> u0 c1 odds; apply: robustness_le => [|f g s fT gH].
  by rewrite divr_ge0 ?subr_ge0 // addr_ge0 // (le_trans ler01).
by apply: softmax_tv => // a b; apply: odds.
Qed.
