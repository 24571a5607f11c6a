/* Messages by MPI: the plug-in "mpi". */
#include "dev/transport.h"

#include "base/fail.h"

#include <limits.h>
#include <mpi.h>
#include <string.h>

static int check(int status, const char *what)
{
	char words[MPI_MAX_ERROR_STRING];
	int n = 0;

	if (status == MPI_SUCCESS)
		return 0;
	MPI_Error_string(status, words, &n);
	return fail("MPI: %s: %.*s", what, n, words);
}

static int mpi_start(int *rank, int *ranks, int *local, int *locals)
{
	MPI_Comm machine;
	int level;

	TRY(check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level), "start"));
	if (level < MPI_THREAD_SERIALIZED)
		return fail("MPI: this one was built without threads (MPI_THREAD_SERIALIZED)");
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	TRY(check(MPI_Comm_rank(MPI_COMM_WORLD, rank), "rank"));
	TRY(check(MPI_Comm_size(MPI_COMM_WORLD, ranks), "ranks"));
	TRY(check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
				      &machine), "machines"));
	TRY(check(MPI_Comm_rank(machine, local), "rank"));
	TRY(check(MPI_Comm_size(machine, locals), "ranks"));
	return check(MPI_Comm_free(&machine), "machines");
}

static void keep(struct transfer *t, MPI_Request request)
{
	_Static_assert(sizeof request <= sizeof t->own, "a transfer holds a request");
	memcpy(t->own, &request, sizeof request);
	t->arrived = 0;
}

static int mpi_send(struct transfer *t, int to, int tag, const void *bytes, size_t n)
{
	MPI_Request request;

	if (n > INT_MAX)
		return fail("MPI: a message of %zu bytes", n);
	TRY(check(MPI_Isend(bytes, (int)n, MPI_BYTE, to, tag, MPI_COMM_WORLD, &request), "send"));
	keep(t, request);
	return 0;
}

static int mpi_receive(struct transfer *t, int from, int tag, void *bytes, size_t n)
{
	MPI_Request request;

	if (n > INT_MAX)
		return fail("MPI: a message of %zu bytes", n);
	TRY(check(MPI_Irecv(bytes, (int)n, MPI_BYTE, from, tag, MPI_COMM_WORLD, &request),
		  "receive"));
	keep(t, request);
	return 0;
}

static int mpi_test(struct transfer *t)
{
	MPI_Request request;

	memcpy(&request, t->own, sizeof request);
	TRY(check(MPI_Test(&request, &t->arrived, MPI_STATUS_IGNORE), "message"));
	memcpy(t->own, &request, sizeof request);
	return t->arrived;
}

static void mpi_finish(void)
{
	MPI_Finalize();
}

static void mpi_abandon(int status)
{
	MPI_Abort(MPI_COMM_WORLD, status);
}

const struct transport *millrace_transport(void)
{
	static const struct transport table = {
		TRANSPORT_ABI, mpi_start, mpi_send, mpi_receive, mpi_test, mpi_finish, mpi_abandon
	};

	return &table;
}
