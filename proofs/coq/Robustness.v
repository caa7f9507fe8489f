(** Robustness and disagreement as maxima: their terms lie below, and they are the least such. *)
From mathcomp Require Import all_ssreflect all_algebra.
From mdtheory Require Import Model Tv.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** ** The maximum of 0 and the terms of a finite family *)

Section Maximum.

Variables (F : realFieldType) (I : finType) (P : pred I).
Implicit Types (x : I -> F) (b : F).

Lemma bigmax_le x b :
  0 <= b -> (forall i, P i -> x i <= b) -> \big[Num.max/0]_(i | P i) x i <= b.
Proof.
by move=> b0 xb; elim/big_rec: _ => // i y Pi yb; rewrite le_maxl xb.
Qed.

Lemma le_bigmax x i : P i -> x i <= \big[Num.max/0]_(i | P i) x i.
Proof.
move=> Pi; rewrite -big_filter.
have: i \in filter P (index_enum I) by rewrite mem_filter Pi mem_index_enum.
elim: (filter _ _) => //= j s IH; rewrite inE big_cons le_maxr => /orP[/eqP <-|/IH ->].
  by rewrite lexx.
by rewrite orbT.
Qed.

Lemma bigmax_ge0 x : 0 <= \big[Num.max/0]_(i | P i) x i.
Proof. by elim/big_rec: _ => // i y _ y0; rewrite le_maxr y0 orbT. Qed.

End Maximum.

(** ** Robustness *)

Section Robustness.

Variables (F : realFieldType) (I S A : finType) (w : family F I).
Implicit Types (pi : I -> S -> A -> F) (R : F).

Lemma tv_le_robustness pi f g s :
  in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= robustness w pi.
Proof.
move=> fT gH.
apply: le_trans (le_bigmax (P := in_training w) (fun f => _) fT).
apply: le_trans (le_bigmax (P := fun g => ~~ in_training w g) (fun g => _) gH).
exact: (le_bigmax (P := xpredT) (fun s => tv (pi f s) (pi g s))).
Qed.

(** Robustness is the least bound that is not negative. *)
Lemma robustness_le pi R :
  0 <= R ->
  (forall f g s, in_training w f -> ~~ in_training w g -> tv (pi f s) (pi g s) <= R) ->
  robustness w pi <= R.
Proof.
by move=> R0 piR; apply: bigmax_le => // f fT; do 2!apply: bigmax_le => // ? ?; apply: piR.
Qed.

Lemma robustness_ge0 pi : 0 <= robustness w pi.
Proof. exact: bigmax_ge0. Qed.

Lemma robustness_le1 pi : (forall f, policy (pi f)) -> robustness w pi <= 1.
Proof. by move=> piP; apply: robustness_le => // f g s _ _; apply: tv_le1; apply: piP. Qed.

End Robustness.

(** ** Disagreement *)

Section Disagreement.

Variables (F : realFieldType) (I S A : finType).
Implicit Types (pi : I -> S -> A -> F) (D : F).

Lemma tv_le_disagreement pi pi' f s : tv (pi f s) (pi' f s) <= disagreement pi pi'.
Proof.
apply: le_trans (le_bigmax (P := xpredT) (fun f => _) (isT : xpredT f)).
exact: (le_bigmax (P := xpredT) (fun s => tv (pi f s) (pi' f s))).
Qed.

(** Disagreement is the least bound that is not negative. *)
Lemma disagreement_le pi pi' D :
  0 <= D -> (forall f s, tv (pi f s) (pi' f s) <= D) -> disagreement pi pi' <= D.
Proof. by move=> D0 piD; do 2!apply: bigmax_le => // ? _. Qed.

Lemma disagreement_ge0 pi pi' : 0 <= disagreement pi pi'.
Proof. exact: bigmax_ge0. Qed.

Lemma disagreement_le1 pi pi' :
  (forall f, policy (pi f)) -> (forall f, policy (pi' f)) -> disagreement pi pi' <= 1.
Proof. by move=> P P'; apply: disagreement_le => // f s; apply: tv_le1; [apply: P|apply: P']. Qed.

Lemma disagreementC pi pi' : disagreement pi pi' = disagreement pi' pi.
Proof. by do 2!apply: eq_bigr => ? _; apply: tvC. Qed.

End Disagreement.

(** ** A maximum is attained, unless it is that of no terms *)

Lemma bigmax_attained (F : realFieldType) (I : finType) (P : pred I) (x : I -> F) :
  \big[Num.max/0]_(i | P i) x i = 0 \/
  exists2 i, P i & \big[Num.max/0]_(i | P i) x i = x i.
Proof.
elim/big_rec: _ => [|i y Pi IH]; first by left.
by case: leP => _ //; right; exists i.
Qed.

Lemma disagreement_attained (F : realFieldType) (I S A : finType) (pi pi' : I -> S -> A -> F) :
  disagreement pi pi' = 0 \/ exists f s, disagreement pi pi' = tv (pi f s) (pi' f s).
Proof.
have [E|[f _ fE]] := bigmax_attained xpredT (fun f => \big[Num.max/0]_s tv (pi f s) (pi' f s)).
  by left; apply: E.
rewrite /disagreement fE.
have [->|[s _ ->]] := bigmax_attained xpredT (fun s => tv (pi f s) (pi' f s)).
  by left.
by right; exists f, s.
Qed.
