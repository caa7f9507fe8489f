(** B1 and B4: what agreement between policies, and mixing them, does to robustness. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp.algebra_tactics Require Import ring.
From mdtheory Require Import Model Tv Robustness.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** B1: agreement transfers robustness *)

(** Neither policy need be stochastic: this is the triangle inequality. *)
Theorem agreement (F : realFieldType) (I S A : finType) (w : family F I)
    (pi1 pi2 : I -> S -> A -> F) :
  robustness w pi1 <= robustness w pi2 + 2%:R * disagreement pi1 pi2.
Proof.
apply: robustness_le => [|f g s fT gH].
  by rewrite addr_ge0 ?robustness_ge0 // mulr_ge0 ?ler0n ?disagreement_ge0.
have -> : robustness w pi2 + 2%:R * disagreement pi1 pi2 =
    disagreement pi1 pi2 + (robustness w pi2 + disagreement pi1 pi2) by ring.
apply: le_trans (tv_triangle _ (pi2 f s) _) _; apply: ler_add (tv_le_disagreement _ _ _ _) _.
apply: le_trans (tv_triangle _ (pi2 g s) _) _; apply: ler_add (tv_le_robustness _ _ fT gH) _.
by rewrite tvC; apply: tv_le_disagreement.
Qed.

(** ** What B1 does not say

    Both examples have two actions and hold for every family that holds something out, over any
    latent states: the first is a policy that looks only at whether the rendering is a training
    rendering, the second one that looks at nothing. *)

Section Examples.

Variables (F : realFieldType) (I S : finType) (w : family F I).

Definition point (b : bool) : bool -> F := fun a => (a == b)%:R.
Definition fragile : I -> S -> bool -> F := fun f _ => point (in_training w f).
Definition blind : I -> S -> bool -> F := fun _ _ => point true.

Lemma point_dist b : dist (point b).
Proof.
split=> [a|]; first exact: ler0n.
by rewrite big_bool /point; case: b; rewrite /= ?mulr0n ?addr0 ?add0r.
Qed.

Lemma tv_point : tv (point true) (point false) = 1.
Proof.
by rewrite /tv big_bool /point /= subr0 sub0r normrN normr1 -(natrD _ 1 1) divff ?pnatr_eq0.
Qed.

Lemma has_training : exists f, in_training w f.
Proof.
apply/existsP; apply: contraLR (train_mass_gt0 w); rewrite negb_exists => /forallP noT.
by rewrite big_pred0 ?ltxx // => f; apply/negbTE.
Qed.

Lemma robustness_fragile (g : I) (s : S) : ~~ in_training w g -> robustness w fragile = 1.
Proof.
move=> gH; have [f fT] := has_training; apply/eqP; rewrite eq_le; apply/andP; split.
  by apply: robustness_le1 => f' s'; apply: point_dist.
rewrite -{1}tv_point; have := tv_le_robustness fragile s fT gH.
by rewrite /fragile fT (negbTE gH).
Qed.

Lemma robustness_blind : robustness w blind = 0.
Proof.
apply/eqP; rewrite eq_le robustness_ge0 andbT.
by apply: robustness_le => // f g s _ _; rewrite tvxx.
Qed.

(** Two equal policies can both be as fragile as can be. *)
Theorem agreement_is_not_robustness (g : I) (s : S) :
  ~~ in_training w g ->
  exists pi1 pi2 : I -> S -> bool -> F,
    [/\ forall f, policy (pi1 f), forall f, policy (pi2 f), pi1 = pi2,
        robustness w pi1 = 1 & robustness w pi2 = 1].
Proof.
move=> gH; exists fragile, fragile.
by split; rewrite ?(robustness_fragile s gH) // => f s'; apply: point_dist.
Qed.

(** Agreement on the training renderings alone says nothing about the held-out ones. *)
Theorem agreement_on_training_is_nothing (g : I) (s : S) :
  ~~ in_training w g ->
  exists pi1 pi2 : I -> S -> bool -> F,
    [/\ forall f, policy (pi1 f), forall f, policy (pi2 f),
        forall f s' a, in_training w f -> pi1 f s' a = pi2 f s' a,
        robustness w pi1 = 1 & robustness w pi2 = 0].
Proof.
move=> gH; exists fragile, blind.
split=> [f s'|f s'|f s' a fT||].
- exact: point_dist.
- exact: point_dist.
- by rewrite /fragile fT.
- exact: robustness_fragile gH.
- exact: robustness_blind.
Qed.

End Examples.

(** Such families exist: one training and one held-out rendering, with any train mass. *)
Lemma one_held_out (F : realFieldType) (M : F) :
  0 < M -> M <= 1 ->
  exists w : family F [finType of bool],
    [/\ in_training w true, ~~ in_training w false & train_mass w = M].
Proof.
move=> M0 M1; pose v (f : bool) := if f then M else 1 - M.
have vP : dist v.
  split=> [[]|]; rewrite /v ?subr_ge0 //; first exact: ltW.
  by rewrite big_bool /= addrC subrK.
have vT : \sum_(f | id f) v f = M by rewrite big_mkcond big_bool /= addr0.
have v0 : 0 < \sum_(f | id f) v f by rewrite vT.
by exists (Family vP v0); split.
Qed.

(** ** B4: a mixture is at least as robust as its members on average *)

Lemma tv_mixture (F : realFieldType) (K A : finType) (v : K -> F) (p q : K -> A -> F) :
  (forall k, 0 <= v k) ->
  tv (fun a => \sum_k v k * p k a) (fun a => \sum_k v k * q k a) <=
    \sum_k v k * tv (p k) (q k).
Proof.
move=> v0.
have -> : \sum_k v k * tv (p k) (q k) = (\sum_k \sum_a v k * `|p k a - q k a|) / 2%:R.
  by rewrite mulr_suml; apply: eq_bigr => k _; rewrite mulrA mulr_sumr.
rewrite ler_pmul2r ?invr_gt0 ?ltr0n // exchange_big; apply: ler_sum => a _.
rewrite -sumrB; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => k _.
by rewrite -mulrBr normrM ger0_norm.
Qed.

Theorem mixture_robustness (F : realFieldType) (K I S A : finType) (w : family F I)
    (v : K -> F) (pi : K -> I -> S -> A -> F) :
  dist v ->
  robustness w (fun f s a => \sum_k v k * pi k f s a) <= \sum_k v k * robustness w (pi k).
Proof.
move=> [v0 _]; apply: robustness_le => [|f g s fT gH].
  by apply: sumr_ge0 => k _; rewrite mulr_ge0 ?robustness_ge0.
apply: le_trans (tv_mixture _ _ v0) _; apply: ler_sum => k _.
by rewrite ler_wpmul2l ?tv_le_robustness.
Qed.
