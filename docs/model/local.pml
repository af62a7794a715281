/*
 * local: a lock is handed over inside a process, from owner to owner.
 *
 * Scripts:  hand_over.lua, acquire.lua, release.lua.
 * Client:   line.go: claimLocked, passOn, passed, handOver, unclaim; tenure.go: acquire,
 *           undo, undoLater.
 *
 * Two owners of one process take turns, and a rival in another process takes the lock
 * when it is free. The rival is ideal: what it trusts is its own. There is no watchdog:
 * leases end. Time passes between any two steps. A fault is a broken connection, after
 * which the command may run late.
 */
#ifndef FAULTS
#define FAULTS 1
#endif

#define LONG  2
#define SHORT 1
#define NAMES (1 + FAULTS)
#define RIVAL 1
#define COPIES (2 + 2 * FAULTS)

#define MOST(a, b) (((a) > (b)) -> (a) : (b))

/* The names of owner o on the wire. The name number k of owner 0 is 2k, of owner 1 2k+1. */
#define NAME(o) (2 * epoch[o] + (o))

/* Commands. */
#define NONE 0
mtype = { ACQUIRE, HANDOVER, RELEASE };

/* The server. */
byte owner, ttl;

/* The network. */
typedef command { byte kind; byte name; byte next; byte lease };
command net[COPIES]; /* 0 and 1: the scripts that the owners await; the others: strays */
byte faults = FAULTS;
byte room = 1; /* marks what is asserted of the model itself */

/* The process. */
byte epoch[2] = 1;
bit  retired[2];
bit  waiting[2];
bit  claimed[2];     /* a release under way may hand the lock to it */
bit  gone[2];        /* it left meanwhile */
byte holding[2];     /* 1: a hold; 2: it is given back */
byte trust[2], lease[2];
byte op[2], age[2];  /* the script under way, and how long ago it was sent */
bit  left[2], answered[2], got[2], undoing[2];
byte line[2];        /* who waits, in order: owner + 1 */
bit  excused;        /* the lock ends with its lease: an outcome stayed unknown, or a hold's time was over */

byte i, other;

#if FAULTS > 1
#define strays (net[2].kind + net[3].kind + net[4].kind + net[5].kind)
#else
#define strays (net[2].kind + net[3].kind)
#endif

inline send(c, k, n, m, l) {
	assert(room && net[c].kind == NONE);
	net[c].kind = k; net[c].name = n; net[c].next = m; net[c].lease = l;
	printf("process: sends %e of name %d, next %d, lease %d\n", k, n, m, l)
}

inline forget(c) { net[c].kind = NONE; net[c].name = 0; net[c].next = 0; net[c].lease = 0 }

inline find_slot() {
	i = 2;
	do
	:: i < COPIES && net[i].kind != NONE -> i++
	:: else -> break
	od;
	assert(room && i < COPIES)
}

inline abandon(o) {
	if
	:: net[o].kind != NONE ->
		find_slot();
		net[i].kind = net[o].kind; net[i].name = net[o].name;
		net[i].next = net[o].next; net[i].lease = net[o].lease;
		forget(o);
		i = 0
	:: else
	fi
}

/* A release that nobody waits for gives back what an unanswered script may have taken. */
inline undo_later(o) {
	find_slot();
	send(i, RELEASE, NAME(o), 0, 0);
	i = 0
}

inline done(o) { op[o] = NONE; age[o] = 0; answered[o] = 0; got[o] = 0; left[o] = 0; undoing[o] = 0 }

inline send_op(o) {
	age[o] = 0; answered[o] = 0; got[o] = 0; other = 1 - o;
	if
	:: op[o] == ACQUIRE  -> send(o, ACQUIRE, NAME(o), 0, lease[o])
	:: op[o] == HANDOVER -> send(o, HANDOVER, NAME(o), NAME(other), lease[other])
	:: op[o] == RELEASE  -> send(o, RELEASE, NAME(o), 0, 0)
	fi;
	other = 0
}

inline retire(o) {
#ifdef NO_RENAME
	retired[o] = 0
#else
	retired[o] = 1
#endif
}

inline freed() { owner = 0; ttl = 0; excused = 0 }

inline execute(c) {
	s = 0;
	if
	:: net[c].kind == ACQUIRE ->
		if
		:: owner == 0 || owner == net[c].name ->
			excused = c > 1; /* a late one takes the lock for nobody */
			owner = net[c].name; ttl = MOST(ttl, net[c].lease); s = 1
		:: else
		fi
	:: net[c].kind == HANDOVER ->
		if
		:: owner == net[c].name ->
			owner = net[c].next; s = 1;
#ifndef NO_OWN_LEASE
			ttl = net[c].lease;
#endif
			excused = c > 1
		:: owner != net[c].name && owner == net[c].next ->
#ifndef NO_REPEAT_LEASE
			ttl = MOST(ttl, net[c].lease);
#endif
			s = 1
		:: else
		fi
	:: net[c].kind == RELEASE ->
		if
		:: owner == net[c].name -> freed(); s = 1
		:: else
		fi
	fi;
	printf("server: runs %e of name %d, next %d: %d; now owner %d ttl %d\n",
		net[c].kind, net[c].name, net[c].next, s, owner, ttl);
	forget(c);
	if
	:: c < 2 -> answered[c] = 1; got[c] = s
	:: else
	fi;
	s = 0
}

inline stand(o) {
	waiting[o] = 1;
	if
	:: line[0] == 0 -> line[0] = o + 1
	:: else -> line[1] = o + 1
	fi
}

inline unstand(o) {
	waiting[o] = 0;
	if
	:: line[0] == o + 1 -> line[0] = line[1]; line[1] = 0
	:: line[0] != o + 1 && line[1] == o + 1 -> line[1] = 0
	:: else
	fi
}

/* A lease that was asked for some time ago becomes a hold, unless it is over. */
inline grant(o, sent) {
	unstand(o);
	if
	:: lease[o] > sent ->
		holding[o] = 1; trust[o] = lease[o] - sent;
		printf("process: owner %d holds, trust %d\n", o, trust[o])
	:: else -> op[o] = RELEASE; undoing[o] = 1; send_op(o)
	fi
}

inline unclaim(o) {
	claimed[o] = 0; gone[o] = 0
}

/* The other owner is told that the lock is its own. */
inline handed(o, sent) {
	claimed[o] = 0;
	if
	:: gone[o] ->
		gone[o] = 0;
#ifndef NO_GONE_UNDO
		op[o] = RELEASE; undoing[o] = 1; send_op(o)
#endif
	:: else -> grant(o, sent)
	fi
}

inline unlock(o) {
	holding[o] = 2; trust[o] = 0; other = 1 - o;
	if
	:: line[0] == other + 1 && op[other] == NONE && holding[other] == 0 && !retired[other] ->
		claimed[other] = 1; op[o] = HANDOVER
	:: else -> op[o] = RELEASE
	fi;
	send_op(o)
}

inline reply(o) {
	other = 1 - o;
	if
	:: op[o] == ACQUIRE && !got[o] -> done(o); other = 0
	:: op[o] == ACQUIRE && got[o] && left[o] -> done(o); op[o] = RELEASE; undoing[o] = 1; send_op(o)
	:: op[o] == ACQUIRE && got[o] && !left[o] -> i = age[o]; done(o); grant(o, i); i = 0; other = 0
	:: op[o] == HANDOVER && got[o] ->
		i = age[o];
		holding[o] = 0; done(o);
		if
		:: o == 0 -> handed(1, i)
		:: else -> handed(0, i)
		fi;
		i = 0; other = 0
	:: op[o] == HANDOVER && !got[o] -> holding[o] = 0; unclaim(other); done(o); other = 0
	:: op[o] == RELEASE ->
		holding[o] = (undoing[o] -> holding[o] : 0); done(o); other = 0
	fi
}

inline leave(o) {
	unstand(o);
	left[o] = op[o] == ACQUIRE;
	gone[o] = claimed[o]
}

inline break_and_repeat(o) {
	faults--; abandon(o); printf("the connection breaks\n");
	if
	:: op[o] == ACQUIRE
	:: else -> retire(o)
	fi;
	send_op(o)
}

inline give_up_handover(o) {
#ifdef NO_REPEAT
	i = age[o];
	if
	:: o == 0 -> handed(1, i)
	:: else -> handed(0, i)
	fi;
	i = 0
#else
	unclaim(other)
#endif
}

inline break_and_give_up(o) {
	faults--; abandon(o); printf("the connection breaks\n"); other = 1 - o; excused = 1;
	retire(o);
	if
	:: op[o] == ACQUIRE  -> undo_later(o)
	:: op[o] == HANDOVER -> holding[o] = 0; give_up_handover(o)
	:: op[o] == RELEASE  -> holding[o] = (undoing[o] -> holding[o] : 0)
	fi;
	done(o); other = 0
}

inline check() {
	assert(!(holding[0] == 1 && trust[0] > 0 && owner != 0 && owner != NAME(0)));
	assert(!(holding[1] == 1 && trust[1] > 0 && owner != 0 && owner != NAME(1)));
	/* Nobody knows of the lock that this process has. */
	assert(!(owner > RIVAL && !excused && strays == 0 && op[0] == NONE && op[1] == NONE &&
		holding[owner & 1] == 0 && !waiting[owner & 1]))
}

/* What owner o does. */
#define OWNER(o) \
	:: d_step { !waiting[o] && holding[o] == 0 && op[o] == NONE && !claimed[o] && !(retired[o] && epoch[o] == NAMES) -> \
		lease[o] = LONG; stand(o) } \
	:: d_step { !waiting[o] && holding[o] == 0 && op[o] == NONE && !claimed[o] && !(retired[o] && epoch[o] == NAMES) -> \
		lease[o] = SHORT; stand(o) } \
	:: d_step { waiting[o] && line[0] == (o) + 1 && op[o] == NONE && !claimed[o] && !(retired[o] && epoch[o] == NAMES) -> \
		epoch[o] = epoch[o] + retired[o]; retired[o] = 0; op[o] = ACQUIRE; send_op(o) } \
	:: d_step { waiting[o] -> leave(o); check() } \
	:: d_step { holding[o] == 1 && op[o] == NONE -> unlock(o) } \
	:: d_step { holding[o] == 1 && trust[o] == 0 && op[o] == NONE -> \
		holding[o] = 0; excused = excused || owner == NAME(o); check() } \
	:: d_step { answered[o] -> reply(o); check() } \
	:: d_step { op[o] != NONE && faults > 0 -> break_and_repeat(o); check() } \
	:: d_step { op[o] != NONE && faults > 0 -> break_and_give_up(o); check() }

active proctype world()
{
	byte s;
end:	do
	OWNER(0)
	OWNER(1)

	/* The server. */
	:: d_step { net[0].kind != NONE -> execute(0); check() }
	:: d_step { net[1].kind != NONE -> execute(1); check() }
	:: d_step { net[2].kind != NONE -> execute(2); check() }
	:: d_step { net[3].kind != NONE -> execute(3); check() }
#if FAULTS > 1
	:: d_step { net[4].kind != NONE -> execute(4); check() }
	:: d_step { net[5].kind != NONE -> execute(5); check() }
#endif

	/* The rival. */
	:: d_step { owner == 0 -> owner = RIVAL; ttl = 1; printf("the rival takes the lock\n"); check() }
	:: d_step { owner == RIVAL -> freed() }

	/* Time. The rival keeps its lease alive. */
	:: d_step { owner > RIVAL || trust[0] > 0 || trust[1] > 0 ||
		op[0] != NONE && age[0] < LONG || op[1] != NONE && age[1] < LONG ->
		printf("-- time passes\n");
		trust[0] = trust[0] - (trust[0] > 0);
		trust[1] = trust[1] - (trust[1] > 0);
		age[0] = age[0] + (op[0] != NONE && age[0] < LONG);
		age[1] = age[1] + (op[1] != NONE && age[1] < LONG);
		if
		:: owner > RIVAL && ttl == 1 -> freed()
		:: owner > RIVAL && ttl > 1 -> ttl--
		:: else
		fi }
	od
}
