import java.util.List;
import java.util.Map;

import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.BookApi;
import org.openapitools.client.model.BookEntry;
import org.openapitools.client.model.BookEntryInput;
import org.openapitools.client.model.BookEntryPatchInput;
import org.openapitools.client.model.SearchBodyInput;

public class RoundTrip {
  public static void main(String[] args) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(args[0]);
    client.setRequestInterceptor(request -> request
        .header("x-bb-partner-id", "79").header("x-bb-account-id", "1")
        .header("x-bb-uid", "1").header("x-bb-plan-type", "PAID"));
    BookApi books = new BookApi(client);
    long many = 5_000_000_000L;
    BookEntryInput persuasion = new BookEntryInput().title("Persuasion").pages(many).tags(List.of("sea"));
    BookEntry made = books.bookCreate(persuasion, null, null).getData().get(0);
    long id = made.getId();
    var got = books.bookGetWithHttpInfo(id, null, null);
    check(got.getData().getData().get(0).equals(made), got.getData());
    String version = got.getHeaders().get("etag").get(0);
    BookEntryPatchInput longer = new BookEntryPatchInput().pages(many + 1);
    var changed = books.bookPatch(id, longer, version, null, null);
    check(changed.getData().get(0).getPages() == many + 1, changed);
    check(refused(() -> books.bookPatch(id, longer, version, null, null)) == 412, "an old version is refused");
    SearchBodyInput body = new SearchBodyInput().filters(List.of(
        Map.of("filterType", "GTE", "field", "pages", "value", many + 1)));
    var found = books.bookSearch("title", null, null, 10L, null, null, null, null, body);
    check(found.getTotalCount() == 1 && found.getData().get(0).getTitle().equals("Persuasion"), found);
    books.bookDelete(id, null, null);
    check(refused(() -> books.bookGet(id, null, null)) == 404, "what is deleted is gone");
    System.out.println("round trip done");
  }

  interface Call { Object now() throws ApiException; }

  static int refused(Call call) {
    try {
      return call.now() == null ? 0 : 200;
    } catch (ApiException problem) {
      return problem.getCode();
    }
  }

  static void check(boolean holds, Object what) {
    if (!holds) throw new AssertionError(what);
  }
}
