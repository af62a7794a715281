/*
 * queue: several processes wait for a lock that is handed from one to the next, and
 * some of them freeze or die.
 *
 * Scripts:  enqueue.lua, pass.lua, withdraw.lua, renew.lua.
 * Client:   line.go: told, passOn, passed; grant.go: mindLocked, mindLapseLocked, inherit; room.go:
 *           takenLocked, untilLocked, released, announced, Subscribed, look.
 *
 * Each process has one owner, who waits, holds, unlocks and gives up, again and again.
 * With FOREIGN there is a client too that knows nothing of tickets, such as Redisson.
 * What has to be done at once is done before time passes: messages and replies arrive,
 * due timers fire, a live holder confirms and renews. Faults: a process is killed; is
 * frozen, and may go on at any time; loses its subscription, and subscribes again;
 * messages are late; the reply to a release is lost. A process may also be closed,
 * or let its lease end, which are no faults.
 *
 * The model has no late commands and no attempt numbers; those are in grant.pml.
 */
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef N
#define N 3
#endif

#ifndef CALLS
#define CALLS N
#endif

#define LONG  3 /* a lease that is renewed */
#ifndef FIXED /* the lease of the first hold */
#if FAULTS > 1 || defined(FOREIGN)
#define FIXED LONG
#else
#define FIXED 5
#endif
#endif
#define FIRST 2 /* the lease of a grant until it is confirmed */
#define NEVER 9 /* of a timer */
#define MANY  7 /* tickets behind: all of them; -1 on the wire */
#define TURNS 1 /* hand-overs in a row while a foreigner waits */
#define FOREIGNER (N + 1)

/* How a process is. */
#define DEAD   0
#define LIVE   1
#define FROZEN 2

/* What its owner does. */
#define IDLE 0
#define WAIT 1
#define HOLD 2

/* The script under way: its reply is on the way. */
#define NONE     0
#define TAKEN    2
#define GRANTED  3 /* a release that served a ticket */
#define RELEASED 4 /* a release that was published, or found nothing to release */

/* Grants. */
#define FRESH 1
#define STALE 2 /* it was overtaken by a retry that found itself the owner */

/* The server. Process p is owner p + 1. */
byte owner, ttl;
byte queue[N];     /* tickets: process + 1 */
bit  listens[N];   /* as the server sees it */

/* The processes. */
byte health[N] = LIVE;
bit  deaf[N];      /* the subscription is gone, and will be made again */
byte does[N];
byte op[N], seen[N];
bit  due[N];
byte timer[N] = NEVER;
byte heir[N] = NEVER;
bit  provisional[N];
byte confirm[N];
byte behind[N] = MANY;
byte turns[N];

/* Messages under way. */
byte grants[N], grant_age[N], grant_turns[N], grant_behind[N];
byte looks[N];     /* when, plus 1; 0: no message */
bit  publics[N];

#ifdef FOREIGN
#define COUNTED 1
bit  foreign;           /* the foreigner waits */
bit  foreign_due;       /* it has heard of a release, or its timer has fired */
byte foreign_timer = NEVER;
byte passed_over;       /* holds in a row that others were handed while it waits */
bit  foreign_turn;      /* a release was announced for it */
#else
#define foreign 0
#define COUNTED 0
#define foreign_due 0
#endif

byte faults = FAULTS;
byte calls = CALLS;      /* of Lock that are still to come */
byte came;              /* the last process that has come: they come in their order */
byte late;              /* messages of this kind: 1 grants, 2 when to look, 3 releases */
bit  closed = FAULTS > 1; /* once; with more faults it would be one of them */
byte gone;              /* processes that are dead or frozen, or were */
bit  unconfirmed;       /* the owner was granted the lock, and has not confirmed it */
byte wasted;            /* ticks for which a dead or frozen process has had the lock so */

byte i, j, head, more, given_turns, given_behind;
bit  served;

#define LEAST(a, b) (((a) < (b)) -> (a) : (b))
#define MOST(a, b)  (((a) > (b)) -> (a) : (b))

inline remove_ticket(p) {
	i = 0;
	do
	:: i < N && queue[i] != p + 1 -> i++
	:: else -> break
	od;
	if
	:: i < N ->
		do
		:: i < N - 1 -> queue[i] = queue[i + 1]; i++
		:: else -> break
		od;
		queue[i] = 0
	:: else
	fi;
	i = 0
}

inline push(p) {
	i = 0;
	do
	:: i < N && queue[i] != 0 && queue[i] != p + 1 -> i++
	:: else -> break
	od;
	queue[i] = p + 1;
	i = 0
}

inline publish() {
	i = 0;
	do
	:: i < N -> publics[i] = publics[i] || listens[i] && !deaf[i]; i++
	:: else -> break
	od;
	i = 0;
#ifdef FOREIGN
	foreign_due = foreign
#endif
}

#ifdef NO_BEACON
#define somebody_foreign true
#else
#define somebody_foreign foreign
#endif

#ifdef NO_TURNS
#define turn_over(r) false
#else
#define turn_over(r) ((r) >= TURNS && somebody_foreign)
#endif

#ifdef NO_NUMSUB
#define hears(p) true /* somebody listens to everything */
#else
#define hears(p) listens[p]
#endif

#ifdef NO_FIRST
#define FIRST_TTL LONG
#else
#define FIRST_TTL FIRST
#endif

/* The ticket at the head of the queue is told when to look. */
inline look_out() {
	if
	:: queue[0] != 0 && listens[queue[0] - 1] && !deaf[queue[0] - 1] -> looks[queue[0] - 1] = ttl + 1
	:: else
	fi
}

/* The lock is free. It is given to the first ticket whose process listens, else published. */
inline pass(r, b) {
	owner = 0; ttl = 0; served = 0;
	if
	:: turn_over(r) ->
		assert(foreign);
#ifdef FOREIGN
		foreign_turn = 1; passed_over = 0;
#endif
		publish()
	:: else ->
		do
		:: queue[0] != 0 && !served ->
			head = queue[0] - 1;
			remove_ticket(head);
			if
			:: hears(head) ->
				assert(listens[head]); /* a dead process costs nothing */
				owner = head + 1; ttl = FIRST_TTL; served = 1; wasted = 0; unconfirmed = 1;
				i = 0; more = 0;
				do
				:: i < N && queue[i] != 0 -> i++; more++
				:: else -> break
				od;
				i = 0;
				more = (b == MANY -> more : MOST(b, 1) - 1);
				if
				:: !deaf[head] ->
					grants[head] = FRESH; grant_age[head] = 0;
					grant_turns[head] = LEAST(r + 1, TURNS) * COUNTED; grant_behind[head] = more
				:: else
				fi;
#ifndef NO_LOOK
				if
				:: more > 0 -> look_out()
				:: else
				fi;
#endif
				printf("server: grants to process %d, behind %d\n", head, more);
				head = 0; more = 0
			:: else -> head = 0
			fi
		:: else -> break
		od;
		if
		:: !served -> publish()
		:: else
		fi
	fi
}

inline hold(p, prov, b, r) {
#ifdef FOREIGN
	passed_over = (prov && foreign -> passed_over + 1 : 0);
	assert(passed_over <= TURNS);
#endif
	does[p] = HOLD; due[p] = 0; timer[p] = NEVER;
	provisional[p] = prov; confirm[p] = prov; behind[p] = b; turns[p] = r * COUNTED
}

inline try(p) {
	due[p] = 0; timer[p] = NEVER;
	if
	:: owner == 0 || owner == p + 1 ->
		grants[p] = (owner == p + 1 && grants[p] == FRESH -> STALE : grants[p]);
#ifdef FOREIGN
		assert(!foreign_turn || late == 3);
#endif
		served = (owner == 0);
		owner = p + 1; ttl = LONG; wasted = 0; unconfirmed = 0;
		remove_ticket(p);
#ifndef NO_TAKER_LOOK
		if
		:: served -> look_out()
		:: else
		fi;
#endif
		served = 0;
		hold(p, 0, MANY, 0)
	:: owner != 0 && owner != p + 1 ->
		push(p); op[p] = TAKEN; seen[p] = ttl
	fi;
	printf("process %d tries: %d; owner %d ttl %d\n", p, op[p], owner, ttl)
}

inline idle(p) {
	does[p] = IDLE; due[p] = 0; timer[p] = NEVER; provisional[p] = 0; confirm[p] = 0; behind[p] = MANY; turns[p] = 0
}

/* A message says when to look. A try under way does not know yet for how long the
 * lock is taken; what it finds may be older than the message. */
inline look(p) {
	if
	:: does[p] == WAIT && op[p] == NONE -> timer[p] = LEAST(timer[p], looks[p] - 1)
#ifndef NO_LOOK_KEPT
	:: does[p] == WAIT && op[p] != NONE -> seen[p] = LEAST(seen[p], looks[p] - 1)
#endif
	:: else
	fi;
	looks[p] = 0
}

/* Process p looks when a lease may have ended. */
inline heir_of(p, t) {
#ifdef NO_HEIR
	heir[p] = NEVER
#else
	heir[p] = t
#endif
}

inline reply(p) {
	if
	:: op[p] == TAKEN    -> timer[p] = seen[p]
	:: op[p] == GRANTED  -> heir_of(p, FIRST); idle(p)
	:: op[p] == RELEASED -> idle(p)
	fi;
	op[p] = NONE; seen[p] = 0
}

/* pass uses i, so that its arguments must not. */
inline give(r, b) {
	given_turns = r; given_behind = b;
	pass(given_turns, given_behind);
	given_turns = 0; given_behind = 0
}

inline release(p) {
	remove_ticket(p);
	if
	:: owner == p + 1 ->
		i = turns[p]; j = behind[p];
		give(i, j);
		op[p] = (served -> GRANTED : RELEASED)
	:: else -> op[p] = RELEASED
	fi;
	does[p] = IDLE; i = 0; j = 0; served = 0
}

/* Hand-overs are counted anew. */
inline recount() {
#ifdef FOREIGN
	passed_over = 0
#else
	skip
#endif
}

inline inherit(p) {
	heir[p] = NEVER;
	recount();
	printf("process %d looks as heir: owner %d ttl %d\n", p, owner, ttl);
	if
	:: owner == 0 ->
#ifdef NO_HEIR_PUBLISH
		if
		:: queue[0] != 0 -> give(0, MANY); heir[p] = (served -> FIRST : NEVER)
		:: else
		fi;
#else
		give(0, MANY); heir[p] = (served -> FIRST : NEVER);
#endif
		served = 0
	:: else
	fi
}

inline told(p) {
	if
	:: grants[p] == FRESH && does[p] == WAIT && grant_age[p] < FIRST_TTL ->
		i = grant_behind[p]; j = grant_turns[p];
		hold(p, 1, i, j); i = 0; j = 0;
#ifndef NO_CONFIRM_AGE
		/* It is confirmed some time after it was granted, not after it was heard of. */
		confirm[p] = confirm[p] - (grant_age[p] > 0)
#endif
	:: does[p] == WAIT && !(grants[p] == FRESH && grant_age[p] < FIRST_TTL) -> due[p] = 1
	:: does[p] == IDLE && owner == p + 1 -> recount(); release(p)
	:: else
	fi;
	grants[p] = 0; grant_age[p] = 0; grant_turns[p] = 0; grant_behind[p] = 0
}

/* The waiter gives up: its ticket is withdrawn, and the lock passed on if it was granted. */
inline withdraw(p) {
	idle(p);
	if
	:: queue[0] == p + 1 ->
		remove_ticket(p);
#ifndef NO_WITHDRAW_LOOK
		look_out()
#endif
	:: else -> remove_ticket(p)
	fi;
	if
	:: owner == p + 1 -> recount(); release(p)
	:: else
	fi;
	printf("process %d withdraws\n", p)
}

inline die(p) {
	health[p] = DEAD; listens[p] = 0; deaf[p] = 0; op[p] = NONE; seen[p] = 0; heir[p] = NEVER;
	grants[p] = 0; grant_age[p] = 0; grant_turns[p] = 0; grant_behind[p] = 0; looks[p] = 0; publics[p] = 0;
	gone++;
	idle(p)
}

/* Nothing of process p has to be done before time passes. */
#define calm(p) (health[p] != LIVE || op[p] == NONE && !deaf[p] && heir[p] != 0 && \
	!(does[p] == WAIT && (due[p] || timer[p] == 0)) && !(does[p] == HOLD && provisional[p] && confirm[p] == 0) && \
	(grants[p] == 0 || late == 1) && (looks[p] == 0 || late == 2) && (!publics[p] || late == 3))

#define unheard(p) (health[p] == LIVE && (grants[p] != 0 || looks[p] != 0 || publics[p]))
#define waits(p) (health[p] == LIVE && does[p] == WAIT)

#if N == 2
#define all_calm (calm(0) && calm(1))
#define some_unheard (unheard(0) || unheard(1))
#define some_wait (waits(0) || waits(1))
#elif N == 3
#define all_calm (calm(0) && calm(1) && calm(2))
#define some_unheard (unheard(0) || unheard(1) || unheard(2))
#define some_wait (waits(0) || waits(1) || waits(2))
#else
#define all_calm (calm(0) && calm(1) && calm(2) && calm(3))
#define some_unheard (unheard(0) || unheard(1) || unheard(2) || unheard(3))
#define some_wait (waits(0) || waits(1) || waits(2) || waits(3))
#endif

#ifdef ONE_FROZEN
#define may_come(p) ((p) == came + 1)
#define may_freeze(p) ((p) == ONE_FROZEN)
#define renewed(p) ((p) != 3 - ONE_FROZEN) /* its lease is fixed */
#define OTHER_FAULTS(p)
#else
#define may_come(p) ((p) <= came + 1)
#define may_freeze(p) true
#define renewed(p) true
#define OTHER_FAULTS(p) \
	:: d_step { health[p] == LIVE && faults > 0 -> faults--; die(p); printf("process %d is killed\n", p) } \
	:: d_step { health[p] == FROZEN -> thaw(p) } \
	:: d_step { health[p] == LIVE && !deaf[p] && faults > 0 -> faults--; drop(p); listens[p] = 0 } \
	:: d_step { health[p] == LIVE && !deaf[p] && faults > 0 -> faults--; drop(p) } \
	:: d_step { health[p] == LIVE && op[p] == GRANTED && faults > 0 -> faults--; op[p] = RELEASED }
#endif

inline lapse(t) { t = (t == NEVER || t == 0 -> t : t - 1) }

inline tick() {
	/* The lock is not free while somebody waits who is not about to look. A foreigner
	 * cannot be told when to look: it depends on the granter. */
	assert(!(owner == 0 && !some_unheard && (some_wait || foreign && gone < 2 && !closed)));
	i = 0;
	do
	:: i < N ->
		lapse(timer[i]); lapse(heir[i]);
		seen[i] = seen[i] - (seen[i] > 0); /* it is counted from when the process asked */
		grant_age[i] = grant_age[i] + (grants[i] != 0 && grant_age[i] < LONG);
		confirm[i] = confirm[i] - (confirm[i] > 0);
		i++
	:: else -> break
	od;
	i = 0;
#ifdef FOREIGN
	lapse(foreign_timer);
	foreign_due = foreign_due || foreign && foreign_timer == 0;
	if
	:: owner == FOREIGNER -> ttl = LONG
	:: else
	fi;
#endif
	if
	:: ttl > 0 && owner <= N ->
		j = owner - 1;
		if
		:: health[j] == LIVE && does[j] == HOLD && !provisional[j] && renewed(j) -> ttl = MOST(ttl, LONG) /* it is renewed */
		:: else ->
			ttl--;
			if
			:: unconfirmed && health[j] != LIVE -> wasted++
			:: else
			fi;
			assert(wasted <= FIRST);
			if
			:: ttl == 0 ->
				/* A live holder keeps its lock, unless its lease is not renewed. */
				assert(!(health[j] == LIVE && does[j] == HOLD && renewed(j)));
				if
				:: health[j] == LIVE && does[j] == HOLD -> idle(j);
#ifndef NO_LAPSE
					heir_of(j, 0)
#endif
				:: else
				fi;
				owner = 0; wasted = 0; unconfirmed = 0;
				printf("server: the lock has expired\n")
			:: else
			fi
		fi;
		j = 0
	:: else
	fi;
	printf("-- time passes: owner %d ttl %d\n", owner, ttl)
}

#ifdef FOREIGN
#ifdef NO_STAND_BACK
#define free_to_try true
#else
#define free_to_try (!foreign_turn || late == 3)
#endif
#else
#define free_to_try true
#endif

#ifdef NO_CONFIRM
#define may_confirm false
#else
#define may_confirm true
#endif

#ifdef NO_RECONNECT_RETRY
#define RETRY(p) skip
#else
#define RETRY(p) due[p] = does[p] == WAIT
#endif

#define PROCESS(p) \
	:: d_step { health[p] == LIVE && does[p] == IDLE && op[p] == NONE && calls > 0 && may_come(p) -> \
		calls--; came = MOST(came, p); does[p] = WAIT; due[p] = 1; grants[p] = (grants[p] == FRESH -> STALE : grants[p]) } \
	:: d_step { health[p] == LIVE && does[p] == WAIT && op[p] == NONE && (due[p] || timer[p] == 0) && free_to_try -> try(p) } \
	:: d_step { health[p] == LIVE && op[p] != NONE -> reply(p) } \
	:: d_step { health[p] == LIVE && grants[p] != 0 && op[p] == NONE -> told(p) } \
	:: d_step { health[p] == LIVE && looks[p] != 0 -> look(p) } \
	:: d_step { health[p] == LIVE && publics[p] -> publics[p] = 0; due[p] = does[p] == WAIT } \
	:: d_step { health[p] == LIVE && heir[p] == 0 -> inherit(p) } \
	:: d_step { health[p] == LIVE && does[p] == HOLD && op[p] == NONE -> release(p) } \
	:: d_step { health[p] == LIVE && does[p] == HOLD && provisional[p] && confirm[p] == 0 -> confirmed(p) } \
	:: d_step { health[p] == LIVE && does[p] == WAIT && op[p] == NONE -> withdraw(p) } \
	:: d_step { health[p] == LIVE && does[p] == IDLE && op[p] == NONE && heir[p] != 0 && !closed -> closed = 1; die(p); printf("process %d is closed\n", p) } \
	:: d_step { health[p] == LIVE && deaf[p] -> deaf[p] = 0; listens[p] = 1; RETRY(p) } \
	:: d_step { health[p] == LIVE && faults > 0 && may_freeze(p) -> faults--; health[p] = FROZEN; gone++; printf("process %d freezes\n", p) } \
	OTHER_FAULTS(p)

inline confirmed(p) {
	if
	:: owner == p + 1 && may_confirm -> ttl = LONG; unconfirmed = 0; wasted = 0; behind[p] = MANY
	:: owner != p + 1 -> idle(p)
	:: else
	fi;
	provisional[p] = 0
}

inline thaw(p) {
	health[p] = LIVE;
	printf("process %d goes on\n", p);
	if
	:: does[p] == HOLD && owner != p + 1 -> idle(p)
	:: else
	fi
}

/* The subscription is dropped; whether the server knows is another matter. */
inline drop(p) {
	deaf[p] = 1; looks[p] = 0; publics[p] = 0;
	grants[p] = 0; grant_age[p] = 0; grant_turns[p] = 0; grant_behind[p] = 0;
	printf("process %d loses its subscription\n", p)
}

active proctype world()
{
	d_step {
		do
		:: i < N -> listens[i] = 1; i++
		:: else -> break
		od;
		i = 0;
		owner = 1; ttl = FIXED; does[0] = HOLD
	}
end:	do
	PROCESS(0)
	PROCESS(1)
#if N > 2
	PROCESS(2)
#endif
#if N > 3
	PROCESS(3)
#endif

#ifdef FOREIGN
	:: d_step { !foreign && owner != FOREIGNER -> foreign = 1; foreign_due = 1 }
	:: d_step { foreign && foreign_due ->
		foreign_due = 0; foreign_turn = 0;
		if
		:: owner == 0 -> owner = FOREIGNER; ttl = LONG; foreign = 0; foreign_timer = NEVER; passed_over = 0
		:: else -> foreign_timer = ttl
		fi;
		printf("foreigner tries: owner %d ttl %d\n", owner, ttl) }
	:: d_step { owner == FOREIGNER -> owner = 0; ttl = 0; publish() }
#endif

#ifndef ONE_FROZEN
	/* Fault: messages of one kind are late from now on. */
	:: d_step { late == 0 && faults > 0 -> faults--; late = 1 }
	:: d_step { late == 0 && faults > 0 -> faults--; late = 2 }
	:: d_step { late == 0 && faults > 0 -> faults--; late = 3 }
#endif

	/* Time. */
	:: d_step { all_calm && !foreign_due -> tick() }
	od
}
